"""SLO files: what they mean in three formats, and everything that can be wrong with them, where it is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from servedrill.commands.main import main
from servedrill.errors import UsageError
from servedrill.files.documents import read_documents
from servedrill.files.toml_positions import positions
from servedrill.slo.objects import FILES
from servedrill.slo.openslo import check, read_slos
from servedrill.slo.slo import Slo, objectives_of

SHIPPED = sorted((Path(__file__).parents[2] / "fixtures" / "data" / "slos").iterdir())

PLAIN: dict[str, Any] = {
    "apiVersion": "openslo/v1",
    "kind": "SLO",
    "metadata": {"name": "chat-ttft", "annotations": {"servedrill/when-spent": "roll-back"}},
    "spec": {
        "service": "chat",
        "indicator": {
            "spec": {
                "thresholdMetric": {
                    "metricSource": {"type": "servedrill", "spec": {"measure": "ttft_s", "class": "chat"}}
                }
            }
        },
        "timeWindow": [{"duration": "4w", "isRolling": True}],
        "budgetingMethod": "Occurrences",
        "objectives": [{"op": "lte", "value": 0.5, "targetPercent": 99.9}],
    },
}


def changed(path: str, value: Any, *, drop: bool = False) -> dict[str, Any]:
    """The plain SLO with one thing another way."""
    copy: Any = json.loads(json.dumps(PLAIN))
    *above, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = copy
    for step in above:
        place = place[step]
    if drop:
        del place[last]
    else:
        place[last] = value
    return copy


def written(folder: Path, text: str | dict[str, Any] | list[Any], name: str = "slo.yaml") -> Path:
    path = folder / name
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False))
    return path


def complaints(folder: Path, text: str | dict[str, Any] | list[Any], name: str = "slo.yaml") -> list[str]:
    """Mistakes without the file's folder."""
    return [str(one).removeprefix(f"{folder}/") for one in check([written(folder, text, name)])[1]]


# ---- what is right


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


# ---- what is wrong

WRONG: dict[str, tuple[dict[str, Any] | list[Any] | str, str]] = {
    "unknown-key": (changed("spec.budgetingMetod", "x"), "did you mean 'budgetingMethod'?|unknown key 'budgetingMetod'"),
    "missing-key": (changed("spec.service", None, drop=True), "spec: 'service' is missing"),
    "wrong-type": (changed("spec.objectives.0.value", "fast"), r'spec.objectives\[0\].value: is "fast"; expected a number'),
    "no-unit": (changed("spec.timeWindow.0.duration", 30), "is 30; expected a whole number and one of m, h, d, w, M, Q, Y, such as 30d; did you mean '30d'?"),
    "no-unit-in-quotes": (changed("spec.timeWindow.0.duration", "30"), "expected a whole number and one of m, h, d, w, M, Q, Y, such as 30d"),
    "wrong-word": (changed("spec.budgetingMethod", "occurrence"), "did you mean 'Occurrences'"),
    "wrong-kind": (changed("kind", "Slo"), "did you mean 'SLO'"),
    "no-kind": (changed("kind", None, drop=True), "'kind' is missing"),
    "other-version": (changed("apiVersion", "openslo/v2alpha"), "apiVersion: 'openslo/v2alpha'; expected openslo/v1"),
    "name": (changed("metadata.name", "Chat TTFT"), "'Chat TTFT' is no name"),
    "no-objective": (changed("spec.objectives", []), "at least one objective"),
    "target-and-percent": (changed("spec.objectives.0.target", 0.5), "has both; expected either target or targetPercent"),
    "no-target": (changed("spec.objectives.0.targetPercent", None, drop=True), "has no target"),
    "target-of-one": (changed("spec.objectives.0", {"op": "lte", "value": 1, "target": 1}), "is 1; expected 0 to below 1"),
    "percent-as-ratio": (changed("spec.objectives.0", {"op": "lte", "value": 1, "target": 99.9}), "did you mean 'targetPercent: 99.9'?"),
    "no-limit": (changed("spec.objectives.0", {"target": 0.9}), "'op' and 'value' missing"),
    "slow-is-good": (changed("spec.objectives.0.op", "gte"), "'gte' makes slow good"),
    "unknown-op": (changed("spec.objectives.0.op", "le"), "did you mean 'lte'"),
    "measure": (changed("spec.indicator.spec.thresholdMetric.metricSource.spec.measure", "ttft"), "did you mean 'ttft_s'"),
    "ratio-as-value": (
        changed("spec.indicator.spec.thresholdMetric.metricSource.spec.measure", "golden_ratio"),
        "golden_ratio is a ratio: write ratioMetric with golden_right and golden_asked",
    ),
    "source": (changed("spec.indicator.spec.thresholdMetric.metricSource.type", "Datadog"), "'Datadog' cannot be read"),
    "no-source": (changed("spec.indicator.spec.thresholdMetric.metricSource.type", ""), "'type' is missing"),
    "no-indicator": (changed("spec.indicator", None, drop=True), "has no indicator"),
    "dangling": (changed("spec.indicatorRef", "other"), "has both"),
    "composite": (changed("spec.objectives.0.indicatorRef", "other"), "composite SLO"),
    "duration": (changed("spec.timeWindow.0.duration", "30days"), "is '30days'; expected a whole number and one of"),
    "two-windows": (changed("spec.timeWindow", [{"duration": "4w", "isRolling": True}] * 2), "a second window"),
    "not-rolling": (changed("spec.timeWindow.0.isRolling", False), "is not rolling and has no calendar"),
    "zone": (
        changed("spec.timeWindow.0", {"duration": "1M", "calendar": {"startTime": "2026-01-01 00:00:00", "timeZone": "Mars/Base"}}),
        "no time zone 'Mars/Base'",
    ),
    "start": (
        changed("spec.timeWindow.0", {"duration": "1M", "calendar": {"startTime": "soon", "timeZone": "UTC"}}),
        "startTime: is 'soon'",
    ),
    "slices-of-occurrences": (changed("spec.objectives.0.timeSliceWindow", "1m"), "has no use with Occurrences"),
    "no-slices": (changed("spec.budgetingMethod", "RatioTimeslices"), "'timeSliceWindow' is missing"),
    "annotation": (changed("metadata.annotations", {"servedrill/when-spend": "roll-back"}), "did you mean 'servedrill/when-spent'?"),
    "action": (changed("metadata.annotations", {"servedrill/when-spent": "rollback"}), "did you mean 'roll-back'"),
    "agreement": (changed("metadata.labels", {"agreement": "olа"}), "expected slo or sla"),
    "too-short": (changed("spec.timeWindow.0.duration", "1d"), "1d is too short for the alert windows of sloth"),
    "policy": (changed("spec.alertPolicies", [{"alertPolicyRef": "nobody"}]), "no AlertPolicy 'nobody'"),
    "twice": ([PLAIN, PLAIN], "SLO 'chat-ttft' twice, first at"),
    "no-number": (changed("spec.objectives.0.value", float("nan")), "expected a number, finite"),
    "slice": (changed("spec", {**PLAIN["spec"], "budgetingMethod": "RatioTimeslices", "objectives": [{"op": "lte", "value": 1, "target": 0.5, "timeSliceWindow": 0.001}]}), "0.1 s or more"),
    "deep": ("[" * 2000, "nested too deeply"),
    "digits": ("kind: " + "9" * 5000 + "\n", "cannot be read"),
    "no-object": ("- 1\n", "is no object"),
    "empty": ("", "no object in it"),
    "tab": ("kind: SLO\n\tmetadata: {}\n", "is no YAML"),
    "key-twice": ("kind: SLO\nkind: SLI\n", "key 'kind' twice, first in line 1"),
    "itself": ("kind: SLO\nspec: &a [*a]\n", "refers to itself"),
    "bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"{b}: &{b} [{','.join('*' + a for _ in range(10))}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
        "grows too large",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_explained(what: str, tmp_path: Path) -> None:
    """Each says where it is and what was expected; nothing that is wrong is taken for an SLO."""
    text, said = WRONG[what]
    found = complaints(tmp_path, text)
    assert any(re.search(said, one) for one in found), found
    assert all(re.match(r"slo\.yaml:\d+:\d+: ", one) for one in found)
    with pytest.raises(UsageError):
        read_slos(tmp_path / "slo.yaml")


def test_all_mistakes_of_a_file_come_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of the lines, also those behind another mistake; the exit code is 4."""
    text = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: Chat_TTFT
  anotations: {}
spec:
  service: chat
  indicator:
    spec:
      thresholdMetric:
        metricSource: {type: servedrill, spec: {measure: ttft, clas: chat}}
  timeWindow: [{duration: 30days, isRolling: true}]
  budgetingMethod: Ocurrences
  objectives:
    - op: lte
      value: fast
      taget: 95
---
kind: SLOO
"""
    path = written(tmp_path, text)
    assert main(["slo", "check", str(path)]) == 4
    lines = capsys.readouterr().err.splitlines()
    found = [tuple(map(int, line.removeprefix(f"{path}:").split(":")[:2])) for line in lines[:-1]]
    assert found == [(4, 9), (5, 3), (11, 58), (11, 64), (12, 27), (13, 20), (16, 14), (17, 7), (17, 14), (19, 7)]
    assert lines[-1] == "10 mistakes"


@pytest.mark.parametrize("name", ["slo.json", "slo.toml"])
def test_json_and_toml_know_lines_and_columns(name: str, tmp_path: Path) -> None:
    """The mistake is where an editor would go."""
    json_text = json.dumps(changed("spec.objectives.0.taget", 1), indent=2)
    toml_text = '''# comment
apiVersion = "openslo/v1"
kind = "SLO"
metadata.name = "x"

[spec]
service = """a
b"""
objectives = [
  { op = "lte", value = 1, target = 0.9 }, # one
  { op = "lte", taget = 1 },
]
budgetingMethod = "Occurrences"
'''
    text = json_text if name == "slo.json" else toml_text
    found = [one for one in complaints(tmp_path, text, name) if "taget" in one]
    lines = text.splitlines()
    number = next(index for index, line in enumerate(lines, start=1) if "taget" in line)
    column = lines[number - 1].index('"taget"' if name == "slo.json" else "taget") + 1
    assert [one.split(": ")[0] for one in found] == [f"{name}:{number}:{column}"]


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [("a.json", '{"kind": }', "a.json:1:10"), ("a.toml", "a = 1\nb = ", "a.toml:2:5: is no TOML: Invalid value"), ("a.yaml", "a: [1", "a.yaml:1:6: is no YAML"), ("a.txt", "", "a.txt:1:1")],
)  # fmt: skip
def test_what_cannot_be_parsed_says_where(name: str, text: str, where: str, tmp_path: Path) -> None:
    """The parser's own position."""
    assert complaints(tmp_path, text, name)[0].startswith(where)


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    """Not a traceback."""
    assert "cannot be read: No such file" in str(check([tmp_path / "no.yaml"])[1][0])


def test_an_sla_cannot_promise_more_than_its_slo(tmp_path: Path) -> None:
    """The SLO is there to be missed first."""
    sla = changed("metadata", {"name": "sla", "labels": {"agreement": "sla"}})
    sla["spec"]["objectives"][0]["targetPercent"] = 99.95
    assert any(
        "the SLA promises 99.9500%, more than SLO 'chat-ttft'" in one for one in complaints(tmp_path, [PLAIN, sla])
    )
    sla["spec"]["objectives"][0]["targetPercent"] = 99
    assert complaints(tmp_path, [PLAIN, sla]) == []


def test_references_reach_over_files(tmp_path: Path) -> None:
    """SLIs, data sources and alert policies of another file, given together."""
    slo = changed("spec.indicator", None, drop=True)
    slo["spec"]["indicatorRef"] = "errors"
    del slo["spec"]["objectives"][0]["op"], slo["spec"]["objectives"][0]["value"]
    slo["spec"]["alertPolicies"] = [{"alertPolicyRef": "fast"}]
    source = {"metricSourceRef": "prom", "spec": {"query": "sum(increase(errors[$window]))"}}
    others = [
        {"apiVersion": "openslo/v1", "kind": "DataSource", "metadata": {"name": "prom"}, "spec": {"type": "Prometheus", "connectionDetails": {"url": "http://127.0.0.1:9090"}}},
        {"apiVersion": "openslo/v1", "kind": "SLI", "metadata": {"name": "errors"}, "spec": {"ratioMetric": {"counter": True, "bad": {"metricSource": source}, "total": {"metricSource": source}}}},
        {"apiVersion": "openslo/v1", "kind": "AlertPolicy", "metadata": {"name": "fast"}, "spec": {"conditions": [{"conditionRef": "quick"}], "notificationTargets": []}},
        {"apiVersion": "openslo/v1", "kind": "AlertCondition", "metadata": {"name": "quick"}, "spec": {"severity": "page", "condition": {"kind": "burnrate", "op": "gte", "threshold": 2, "lookbackWindow": "1h", "alertAfter": "5m"}}},
    ]  # fmt: skip
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


# ---- whatever comes

WORDS = st.sampled_from(
    ["kind", "SLO", "spec", "metadata", "name", "target", "objectives", "openslo/v1", "servedrill", "x", "30d"]
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(["spec", "metadata", "spec.objectives", "spec.objectives.0", "spec.timeWindow.0", "spec.indicator.spec", "spec.alertPolicies"]), tree=TREES)  # fmt: skip
def test_no_file_breaks_the_reader(path: str, tree: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Anything in any place is an SLO or a mistake, in YAML and JSON alike."""
    folder = tmp_path_factory.mktemp("any")
    found = changed(path, tree)
    as_json, as_yaml = written(folder, json.dumps(found), "a.json"), written(folder, found, "a.yaml")
    (one, wrong), (other, also_wrong) = check([as_json]), check([as_yaml])
    assert bool(one.slos) != bool(wrong)
    assert one.slos == other.slos
    assert sorted((m.path, m.what) for m in wrong) == sorted((m.path, m.what) for m in also_wrong)


KEYS = st.text("abc-_ é.\"'", min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, st.lists(st.integers() | st.text("ab #[]{},='\"\\\n", max_size=6), max_size=3) | st.dictionaries(KEYS, st.integers(), max_size=3), max_size=4))  # fmt: skip
def test_toml_positions_point_at_their_keys(tree: dict[str, Any]) -> None:
    """Whatever TOML accepts is walked to its end, and each top-level key is where its name stands."""
    text = _toml(tree)
    assert tomllib.loads(text) == tree
    keys, values = positions(text)
    lines = text.splitlines(keepends=True)
    for name in tree:
        at = keys[(name,)]
        assert lines[at.line - 1][at.column - 1 :].startswith((name, json.dumps(name, ensure_ascii=False)))
        assert (name,) in values


def _toml(tree: dict[str, Any]) -> str:
    """JSON's strings and lists are TOML's too; a mapping becomes an inline table."""

    def said(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {said(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[\n" + ", # one\n".join(map(said, value)) + "]"
        return json.dumps(value)

    return "# start\n" + "".join(f"{json.dumps(k, ensure_ascii=False)} = {said(v)}\n" for k, v in tree.items())


def test_positions_of_headers_and_dotted_keys(tmp_path: Path) -> None:
    """Arrays of tables count their elements; dotted keys have a position at every step."""
    text = 'a.b."c d" = 1\n[[x.y]]\nz = [1,\n  {w = 2}]\n[[x.y]]\n  z = 3 # no\n[x.y.v]\nu = """\n"quoted" # still\n"""\nt = 1\n'
    keys, values = positions(text)
    assert (keys[("a", "b", "c d")].line, keys[("a", "b", "c d")].column) == (1, 5)
    assert (keys[("x", "y", 1, "z")].line, keys[("x", "y", 1, "z")].column) == (6, 3)
    assert (values[("x", "y", 0, "z", 1, "w")].line, values[("x", "y", 0, "z", 1, "w")].column) == (4, 8)
    assert keys[("x", "y", 1, "v", "t")].line == 11
    assert read_documents(written(tmp_path, text, "x.toml"), FILES)[1] == []
