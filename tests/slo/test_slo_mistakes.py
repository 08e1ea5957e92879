"""Everything that can be wrong with SLO files, where it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servedrill.commands.main import main
from servedrill.errors import UsageError
from servedrill.slo.openslo import check, read_slos
from tests.worlds.slos import PLAIN, changed, written


def complaints(folder: Path, text: str | dict[str, Any] | list[Any], name: str = "slo.yaml") -> list[str]:
    """Mistakes without the file's folder."""
    return [str(one).removeprefix(f"{folder}/") for one in check([written(folder, text, name)])[1]]


WRONG: dict[str, tuple[dict[str, Any] | list[Any] | str, str]] = {
    "unknown-key": (
        changed("spec.budgetingMetod", "x"),
        "did you mean 'budgetingMethod'?|unknown key 'budgetingMetod'",
    ),
    "missing-key": (changed("spec.service", None, drop=True), "spec: 'service' is missing"),
    "wrong-type": (
        changed("spec.objectives.0.value", "fast"),
        r'spec.objectives\[0\].value: is "fast"; expected a number',
    ),
    "no-unit": (
        changed("spec.timeWindow.0.duration", 30),
        "is 30; expected a whole number and one of m, h, d, w, M, Q, Y, such as 30d; did you mean '30d'?",
    ),
    "no-unit-in-quotes": (
        changed("spec.timeWindow.0.duration", "30"),
        "expected a whole number and one of m, h, d, w, M, Q, Y, such as 30d",
    ),
    "wrong-word": (changed("spec.budgetingMethod", "occurrence"), "did you mean 'Occurrences'"),
    "wrong-kind": (changed("kind", "Slo"), "did you mean 'SLO'"),
    "no-kind": (changed("kind", None, drop=True), "'kind' is missing"),
    "other-version": (changed("apiVersion", "openslo/v2alpha"), "apiVersion: 'openslo/v2alpha'; expected openslo/v1"),
    "name": (changed("metadata.name", "Chat TTFT"), "'Chat TTFT' is no name"),
    "no-objective": (changed("spec.objectives", []), "at least one objective"),
    "target-and-percent": (
        changed("spec.objectives.0.target", 0.5),
        "has both; expected either target or targetPercent",
    ),
    "no-target": (changed("spec.objectives.0.targetPercent", None, drop=True), "has no target"),
    "target-of-one": (
        changed("spec.objectives.0", {"op": "lte", "value": 1, "target": 1}),
        "is 1; expected 0 to below 1",
    ),
    "percent-as-ratio": (
        changed("spec.objectives.0", {"op": "lte", "value": 1, "target": 99.9}),
        "did you mean 'targetPercent: 99.9'?",
    ),
    "no-limit": (changed("spec.objectives.0", {"target": 0.9}), "'op' and 'value' missing"),
    "slow-is-good": (changed("spec.objectives.0.op", "gte"), "'gte' makes slow good"),
    "unknown-op": (changed("spec.objectives.0.op", "le"), "did you mean 'lte'"),
    "measure": (
        changed("spec.indicator.spec.thresholdMetric.metricSource.spec.measure", "ttft"),
        "did you mean 'ttft_s'",
    ),
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
        changed(
            "spec.timeWindow.0",
            {"duration": "1M", "calendar": {"startTime": "2026-01-01 00:00:00", "timeZone": "Mars/Base"}},
        ),
        "no time zone 'Mars/Base'",
    ),
    "start": (
        changed("spec.timeWindow.0", {"duration": "1M", "calendar": {"startTime": "soon", "timeZone": "UTC"}}),
        "startTime: is 'soon'",
    ),
    "slices-of-occurrences": (changed("spec.objectives.0.timeSliceWindow", "1m"), "has no use with Occurrences"),
    "no-slices": (changed("spec.budgetingMethod", "RatioTimeslices"), "'timeSliceWindow' is missing"),
    "annotation": (
        changed("metadata.annotations", {"servedrill/when-spend": "roll-back"}),
        "did you mean 'servedrill/when-spent'?",
    ),
    "action": (changed("metadata.annotations", {"servedrill/when-spent": "rollback"}), "did you mean 'roll-back'"),
    "agreement": (changed("metadata.labels", {"agreement": "olа"}), "expected slo or sla"),
    "too-short": (
        [
            {
                **changed("spec.timeWindow.0.duration", "1d"),
                "metadata": {"name": "x", "annotations": {"servedrill/alert-windows": "pyrra"}},
            }
        ],
        "1d is too short for the alert windows of pyrra; expected at least 5.6 days, or alertPolicies of its own",
    ),
    "policy": (changed("spec.alertPolicies", [{"alertPolicyRef": "nobody"}]), "no AlertPolicy 'nobody'"),
    "twice": ([PLAIN, PLAIN], "SLO 'chat-ttft' twice, first at"),
    "no-number": (changed("spec.objectives.0.value", float("nan")), "expected a number, finite"),
    "slice": (
        changed(
            "spec",
            {
                **PLAIN["spec"],
                "budgetingMethod": "RatioTimeslices",
                "objectives": [{"op": "lte", "value": 1, "target": 0.5, "timeSliceWindow": 0.001}],
            },
        ),
        "0.1 s or more",
    ),
    "deep": ("[" * 2000, "nested too deeply"),
    "digits": ("kind: " + "9" * 5000 + "\n", "cannot be read"),
    "no-object": ("- 1\n", "is no object"),
    "empty": ("", "no object in it"),
    "tab": ("kind: SLO\n\tmetadata: {}\n", "is no YAML"),
    "key-twice": ("kind: SLO\nkind: SLI\n", "key 'kind' twice, first in line 1"),
    "itself": ("kind: SLO\nspec: &a [*a]\n", "refers to itself"),
    "bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{b}: &{b} [{','.join('*' + a for _ in range(10))}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
        ),
        "grows too large",
    ),
}


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
    [
        ("a.json", '{"kind": }', "a.json:1:10"),
        ("a.toml", "a = 1\nb = ", "a.toml:2:5: is no TOML: Invalid value"),
        ("a.yaml", "a: [1", "a.yaml:1:6: is no YAML"),
        ("a.txt", "", "a.txt:1:1"),
    ],
)
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
@given(
    path=st.sampled_from(
        [
            "spec",
            "metadata",
            "spec.objectives",
            "spec.objectives.0",
            "spec.timeWindow.0",
            "spec.indicator.spec",
            "spec.alertPolicies",
        ]
    ),
    tree=TREES,
)
def test_no_file_breaks_the_reader(path: str, tree: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Anything in any place is an SLO or a mistake, in YAML and JSON alike."""
    folder = tmp_path_factory.mktemp("any")
    found = changed(path, tree)
    as_json, as_yaml = written(folder, json.dumps(found), "a.json"), written(folder, found, "a.yaml")
    (one, wrong), (other, also_wrong) = check([as_json]), check([as_yaml])
    assert bool(one.slos) != bool(wrong)
    assert one.slos == other.slos
    assert sorted((m.path, m.what) for m in wrong) == sorted((m.path, m.what) for m in also_wrong)
