"""SLO files: what they mean, in three formats."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import yaml

from servedrill.commands.main import main
from servedrill.slo.openslo import check, read_slos
from servedrill.slo.slo import Slo, objectives_of
from tests.worlds.slos import PLAIN, changed, written

SHIPPED = sorted((Path(__file__).parents[2] / "fixtures" / "data" / "slos").iterdir())


def test_shipped_files_hold_the_presets() -> None:
    """All are without a mistake, and MLPerf's limits are the published ones."""
    file, mistakes = check(SHIPPED)
    assert mistakes == []
    limits = {slo.name: slo.sli.limit for slo in file.slos}
    published = {  # model: TTFT and TPOT in ms, server and interactive
        "llama3-1-8b": (2000, 100, 500, 30),
        "llama2-70b": (2000, 200, 450, 40),
        "llama3-1-405b": (6000, 175, 4500, 80),
        "deepseek-r1": (2000, 80, 1500, 15),
        "gpt-oss-120b": (3000, 80, 2000, 15),
    }
    for model, figures in published.items():
        found = [
            limits[f"{model}-{scenario}-{word}"] for scenario in ("server", "interactive") for word in ("ttft", "tpot")
        ]
        assert found == [figure / 1000 for figure in figures], model
    assert all(slo.target == 0.99 for slo in file.slos if slo.sli.limit and "-server-" in slo.name)
    by_name = {slo.name: slo for slo in file.slos}
    assert (by_name["chat-ttft"].sli.limit, by_name["chat-ttft"].target) == (0.8, 0.95)
    assert (by_name["code-tpot"].sli.limit, by_name["summary-tpot"].sli.limit) == (0.05, 0.1)
    assert {slo.agreement for slo in file.slos if slo.service == "chat"} == {"slo", "sla"}
    assert by_name["chat-availability-sla"].target < by_name["chat-availability"].target


def test_three_formats_come_to_the_same(tmp_path: Path) -> None:
    """YAML, JSON and TOML, one object, a list of them or ``objects``."""
    toml = """
apiVersion = "openslo/v1"
kind = "SLO"
[metadata]
name = "chat-ttft"
annotations = { "servedrill/when-spent" = "roll-back" }
[spec]
service = "chat"
indicator.spec.thresholdMetric.metricSource = { type = "servedrill", spec = { measure = "ttft_s", class = "chat" } }
budgetingMethod = "Occurrences"
[[spec.timeWindow]]
duration = "4w"
isRolling = true
[[spec.objectives]]
op = "lte"
value = 0.5
targetPercent = 99.9
"""
    paths = [
        written(tmp_path, PLAIN, "a.yaml"),
        written(tmp_path, [PLAIN], "b.yml"),
        written(tmp_path, json.dumps(PLAIN, indent="\t"), "c.json"),
        written(tmp_path, json.dumps({"objects": [PLAIN]}), "d.json"),
        written(tmp_path, toml, "e.toml"),
    ]
    found = [read_slos(path).slos for path in paths]
    assert all(slos == found[0] for slos in found)
    (slo,) = found[0]
    assert (slo.target, slo.period_s, slo.sli.measure, slo.sli.limit, slo.when_spent) == (
        0.999,
        28 * 86400,
        "ttft_s",
        0.5,
        ["roll-back"],
    )
    assert msgspec.convert(msgspec.to_builtins(slo), Slo) == slo


def test_anchors_and_merges_of_yaml_are_followed(tmp_path: Path) -> None:
    """Kubernetes-style files use them."""
    text = yaml.safe_dump(PLAIN, sort_keys=False)
    text = text.replace("metadata:", "metadata: &meta", 1) + "---\n"
    second = yaml.safe_dump(changed("metadata.name", "second"), sort_keys=False)
    second = second.replace("- op: lte", "- &one\n    op: lte")
    (first, other) = read_slos(written(tmp_path, text + second)).slos
    assert (first.name, other.name) == ("chat-ttft", "second")


def test_a_class_has_the_strictest_of_its_limits() -> None:
    """What makes one request good is every limit that any SLO of its class has; an SLA's are no objectives."""
    table = objectives_of(read_slos(*(path for path in SHIPPED if path.stem in ("chat", "code", "summary"))).slos)
    assert (table["chat"].ttft_s, table["chat"].max_stall_s, table["chat"].tpot_s) == (0.8, 2, None)
    assert (table["code"].tpot_s, table["code"].ttft_s, table["code"].target) == (0.05, 2, 0.99)
    assert table["summary"].tpot_s == 0.1


def test_slo_show_says_it_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The promise, the budget in minutes, who is told when, and what follows."""
    assert main(["slo", "show", str(written(tmp_path, PLAIN))]) == 0
    text = capsys.readouterr().out
    assert "99.9% of chat requests: time to first token, from the scheduled instant, <= 0.5 s" in text
    assert "The budget is 0.1%: 40.3 minutes of everything bad in 28d." in text
    assert "Page when the burn rate is above 13.44 over 1h and 5m, or 5.6 over 6h and 30m." in text
    assert "the last risky change is rolled back" in text


def test_references_reach_over_files(tmp_path: Path) -> None:
    """SLIs, data sources and alert policies of another file, given together."""
    slo = changed("spec.indicator", None, drop=True)
    slo["spec"]["indicatorRef"] = "errors"
    del slo["spec"]["objectives"][0]["op"], slo["spec"]["objectives"][0]["value"]
    slo["spec"]["alertPolicies"] = [{"alertPolicyRef": "fast"}]
    source = {"metricSourceRef": "prom", "spec": {"query": "sum(increase(errors[$window]))"}}
    others = [
        {
            "apiVersion": "openslo/v1",
            "kind": "DataSource",
            "metadata": {"name": "prom"},
            "spec": {"type": "Prometheus", "connectionDetails": {"url": "http://127.0.0.1:9090"}},
        },
        {
            "apiVersion": "openslo/v1",
            "kind": "SLI",
            "metadata": {"name": "errors"},
            "spec": {
                "ratioMetric": {"counter": True, "bad": {"metricSource": source}, "total": {"metricSource": source}}
            },
        },
        {
            "apiVersion": "openslo/v1",
            "kind": "AlertPolicy",
            "metadata": {"name": "fast"},
            "spec": {"conditions": [{"conditionRef": "quick"}], "notificationTargets": []},
        },
        {
            "apiVersion": "openslo/v1",
            "kind": "AlertCondition",
            "metadata": {"name": "quick"},
            "spec": {
                "severity": "page",
                "condition": {
                    "kind": "burnrate",
                    "op": "gte",
                    "threshold": 2,
                    "lookbackWindow": "1h",
                    "alertAfter": "5m",
                },
            },
        },
    ]
    one, two = written(tmp_path, slo, "one.yaml"), written(tmp_path, others, "two.yaml")
    file = read_slos(one, two)
    assert file.prometheus_url == "http://127.0.0.1:9090"
    (condition,) = file.slos[0].conditions
    assert (condition.factor, condition.window_s, condition.for_s, condition.op) == (2, 3600, 300, "gte")
    assert file.slos[0].sli.bad_query == "sum(increase(errors[$window]))"
    assert [str(one).split(": ", 1)[1].split(";")[0] for one in check([one])[1]] == [
        "spec.indicatorRef: no SLI 'errors'",
        "spec.alertPolicies[0].alertPolicyRef: no AlertPolicy 'fast'",
    ]
