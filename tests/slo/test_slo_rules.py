"""Rules and dashboards from SLO files, judged by Prometheus' own tools and Grafana's own types."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from servedrill.commands.main import main
from servedrill.dialect import vllm
from servedrill.slo import llm_rules
from servedrill.slo.openslo import read_slos
from servedrill.slo.rules import rules_of
from tests.worlds.prometheus import PROMTOOL, SHIPPED, SLOS, needs_promtool
from tests.worlds.slos import AVAILABILITY, rules_file


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False)


# ---- what is written


@needs_promtool
@pytest.mark.parametrize(
    "files", [[file] for file in SHIPPED] + [SHIPPED], ids=lambda files: "+".join(f.stem for f in files)
)
def test_prometheus_accepts_the_rules(files: list[Path], tmp_path: Path) -> None:
    """Those of each shipped file, and of all together; nothing twice."""
    done = promtool("check", "rules", rules_file(tmp_path, *files))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout + done.stderr


def test_rules_have_the_windows_and_factors(tmp_path: Path) -> None:
    """Four alerts at 99.9%, and what cannot happen is left out and said: at 90% a full outage burns at 10 only."""
    rules = yaml.safe_load(rules_file(tmp_path, SLOS / "chat.yaml").read_text())
    group = next(one for one in rules["groups"] if one["name"].endswith("chat-availability"))
    alerts = [rule for rule in group["rules"] if "alert" in rule]
    assert [(r["labels"]["severity"], r["labels"]["long"], r["labels"]["short"]) for r in alerts] == [
        ("page", "1h", "5m"),
        ("page", "6h", "30m"),
        ("ticket", "1d", "2h"),
        ("ticket", "3d", "6h"),
    ]
    assert "> (14.4 * 0.001) and " in alerts[0]["expr"]
    sla = next(one for one in rules["groups"] if one["name"].endswith("sla"))
    assert [rule.get("record") for rule in sla["rules"]] == [
        "servedrill:slo_target:ratio",
        "servedrill:budget_left:ratio",
    ]
    loose = (SLOS / "chat.yaml").read_text().replace("target: 0.95", "target: 0.9")
    (tmp_path / "loose.yaml").write_text(loose)
    notes = rules_of(read_slos(tmp_path / "loose.yaml").slos).notes
    assert any("a burn rate of 14.4 cannot be reached, all bad is 10" in note for note in notes)


def test_rules_name_only_metrics_that_vllm_has() -> None:
    """None of the names that are gone from it; those of the engines are on the embedded engine's page too."""
    import servedrill.refstack.engine.metrics as page

    text = rules_of(read_slos(*SHIPPED).slos).text()
    used = set(re.findall(r"vllm:\w+", text))
    source = Path(page.__file__).read_text()
    for name in used:
        stem = re.sub(r"^vllm:|_(bucket|count|sum|total)$", "", name)
        assert f'"{stem}"' in source or f'"vllm:{stem}"' in source, name
    assert not used & {"vllm:gpu_cache_usage_perc", "vllm:num_requests_swapped", "vllm:time_per_output_token_seconds"}
    assert {vllm.KV_USAGE, vllm.WAITING, f"{vllm.TTFT}_bucket"} <= used


@needs_promtool
def test_the_dashboard_shows_what_prometheus_can_evaluate(tmp_path: Path) -> None:
    """One budget and one burn rate for each SLO that has rules; every query is one; nothing overlaps."""
    path = tmp_path / "dashboard.json"
    assert main(["alerts", "dashboard", *map(str, SHIPPED), "-o", str(path)]) == 0
    board = json.loads(path.read_text())
    titles = [panel["title"] for panel in board["panels"]]
    assert {
        "chat-ttft: budget left",
        "chat-availability-sla (SLA): budget left",
        "chat-ttft: burn rate",
        "KV cache",
    } <= set(titles)
    assert not any("golden" in title for title in titles)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    exprs = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    rules = [
        {"record": f"x:y:z{index}", "expr": expr}
        for index, expr in enumerate([*exprs, board["annotations"]["list"][0]["expr"]])
    ]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
    done = promtool("check", "rules", tmp_path / "queries.yml")
    assert done.returncode == 0, done.stderr


def test_grafanas_own_types_know_every_field_of_the_dashboard(tmp_path: Path) -> None:
    """Read into Grafana 11's dashboard schema and written again, nothing in it is lost or changed."""
    path = tmp_path / "dashboard.json"
    assert main(["alerts", "dashboard", *map(str, SHIPPED), "-o", str(path)]) == 0
    board = json.loads(path.read_text())
    register_default_plugins()
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    # The Prometheus data source's own: the schema leaves such fields open, its types leave them out.
    assert list(lost(board, again)) == [".annotations.list.0.titleFormat"]
    board["panels"][1]["fieldConfig"]["defaults"]["unti"] = board["panels"][1]["targets"][0]["exrp"] = "s"
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    assert {place.rpartition(".")[2] for place in lost(board, again)} == {"titleFormat", "unti", "exrp"}


def lost(before: Any, after: Any, at: str = "") -> Iterator[str]:
    """Where the second lacks something of the first, or has another value."""
    if isinstance(before, (dict, list)) and isinstance(after, type(before)):
        for key, value in before.items() if isinstance(before, dict) else enumerate(before):
            there = key in after if isinstance(after, dict) else key < len(after)
            if there:
                yield from lost(value, after[key], f"{at}.{key}")
            else:
                yield f"{at}.{key}"
    elif before != after:
        yield at


# ---- what fires: Prometheus' own unit tests


def unit_tests(tmp_path: Path, rules: Path, *tests: tuple[dict[str, str], list[dict[str, Any]]]) -> None:
    """Series and what has to be true of them, each pair on its own, in one run of promtool."""
    written = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": checks,
            }
            for series, checks in tests
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(written))
    done = promtool("test", "rules", tmp_path / "test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def value(expr: str, at: str, expected: float, labels: str = "{}") -> dict[str, Any]:
    return {"expr": expr, "eval_time": at, "exp_samples": [{"labels": labels, "value": expected}]}


def firing(name: str, at: str, *, count: int, slo: str | None = None) -> dict[str, Any]:
    """Through ALERTS, so that annotations need not be repeated here."""
    matchers = [f'alertname="{name}"', 'alertstate="firing"', *([f'slo="{slo}"'] if slo else [])]
    return value(f"count(ALERTS{{{','.join(matchers)}}}) or vector(0)", at, count)


@needs_promtool
def test_burn_alerts_fire_and_resolve(tmp_path: Path) -> None:
    """10% errors for a while: pages fire as soon as both windows are over, and resolve when the short one is not."""
    (tmp_path / "slo.yaml").write_text(AVAILABILITY)
    rules = rules_file(tmp_path, tmp_path / "slo.yaml")
    label = 'engine="0",model_name="m"'
    series = {
        f'vllm:request_success_total{{finished_reason="stop",{label}}}': "0+100x120 12090+90x20 13900+100x60",
        f'vllm:request_success_total{{finished_reason="error",{label}}}': "0+0x120 10+10x20 210+0x60",
        f'vllm:request_success_total{{finished_reason="abort",{label}}}': "0+50x200",
    }
    checks = [
        firing("SloBurnRate", "110m", count=0),
        value(
            'round(servedrill:sli_bad:ratio_5m{slo="answers"}, 0.0001)',
            "135m",
            0.1,
            '{slo="answers",service="chat",agreement="slo"}',
        ),
        firing("SloBurnRate", "135m", slo="answers", count=4),
        value('count(ALERTS{alertstate="firing",long="1h",severity="page"})', "135m", 1),
        value('count(ALERTS{alertstate="firing",long="1h",severity="page"}) or vector(0)', "150m", 0),
        value('count(ALERTS{alertname="ErrorSpike",alertstate="firing",finished_reason="error"})', "140m", 1),
    ]
    unit_tests(tmp_path, rules, (series, checks))


LABELS = 'instance="e0",model_name="m"'
POD = 'namespace="n",pod="p",container="c"'
CAUSES: dict[str, tuple[dict[str, str], str, str]] = {
    # alert: series, when it has to fire, and one where it must not
    "TtftP95High": (
        {
            f'vllm:time_to_first_token_seconds_bucket{{le="{le}",{LABELS}}}': f"0+{10 * share}x30"
            for le, share in (("0.5", 1), ("2.5", 9), ("5.0", 10), ("+Inf", 10))
        },
        "20m",
        "2m",
    ),
    "TokenRateDropped": (
        {
            f"vllm:generation_tokens_total{{{LABELS}}}": "0+1000x90 90000+100x40",
            f"vllm:num_requests_running{{{LABELS}}}": "5x130",
        },
        "105m",
        "85m",
    ),
    "NoProgress": (
        {
            f"vllm:generation_tokens_total{{{LABELS}}}": "0+1000x20 20000x20",
            f"vllm:num_requests_running{{{LABELS}}}": "5x40",
        },
        "25m",
        "18m",
    ),
    "EngineOutOfMemory": (
        {
            f'kube_pod_container_status_last_terminated_reason{{{POD},reason="OOMKilled"}}': "0x10 1x40",
            f"kube_pod_container_status_restarts_total{{{POD}}}": "0x10 1x40",
        },
        "14m",
        "40m",
    ),
    "OomEvents": ({'container_oom_events_total{pod="p",container="c"}': "0x10 1x40"}, "12m", "30m"),
    "RefusalSpike": (
        {
            f'vllm:admission_rejections_total{{reason="queue_full",{LABELS}}}': "0x10 0+50x30",
            f'vllm:request_success_total{{finished_reason="stop",{LABELS}}}': "0+100x40",
        },
        "20m",
        "9m",
    ),
    "QueueLong": (
        {
            f"vllm:num_requests_waiting{{{LABELS}}}": "0x10 40x10 0x10",
            f"vllm:num_requests_running{{{LABELS}}}": "16x30",
        },
        "15m",
        "25m",
    ),
    "KvCacheFull": ({f"vllm:kv_cache_usage_perc{{{LABELS}}}": "0.5x10 0.99x10 0.5x10"}, "15m", "25m"),
    "Preempting": ({f"vllm:num_preemptions_total{{{LABELS}}}": "0x10 0+60x30"}, "25m", "9m"),
    "TelemetryAbsent": ({f"vllm:num_requests_running{{{LABELS}}}": "5x10 stale"}, "25m", "9m"),
}


@needs_promtool
def test_llm_alerts_fire_for_their_cause_only(tmp_path: Path) -> None:
    """Each fires once when its cause is there, and is silent before or after."""
    groups = yaml.safe_load(rules_file(tmp_path, SLOS / "chat.yaml").read_text())["groups"]
    rules = tmp_path / "llm.yml"
    rules.write_text(yaml.safe_dump({"groups": [group for group in groups if group["name"] == "servedrill-llm"]}))
    tests = [
        (series, [firing(name, fires, count=1), firing(name, silent, count=0)])
        for name, (series, fires, silent) in CAUSES.items()
    ]
    unit_tests(tmp_path, rules, *tests)


def test_every_llm_alert_is_tested() -> None:
    """ErrorSpike is with the burn rates."""
    assert {alert.name for alert in llm_rules.llm_alerts()} == {*CAUSES, "ErrorSpike"}
