"""SLO files of other tools: one line says what they are and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from servedrill.commands.main import main
from servedrill.slo.openslo import check
from tests.worlds.slos import changed, written

SLOTH = {
    "version": "prometheus/v1",
    "service": "web",
    "slos": [
        {
            "name": "answered",
            "objective": 99.9,
            "sli": {
                "events": {"error_query": "sum(rate(bad[{{.window}}]))", "total_query": "sum(rate(all[{{.window}}]))"}
            },
        }
    ],
}
FILES: dict[str, tuple[dict[str, Any], str, str]] = {
    "sloth": (SLOTH, "version: is a Sloth file", "error_query as 'bad'"),
    "sloth-in-kubernetes": (
        {
            "apiVersion": "sloth.slok.dev/v1",
            "kind": "PrometheusServiceLevel",
            "metadata": {"name": "web"},
            "spec": {"service": "web", "slos": SLOTH["slos"]},
        },
        "kind: is a Sloth file, of the kind for Kubernetes",
        "error_query as 'bad'",
    ),
    "pyrra": (
        {
            "apiVersion": "pyrra.dev/v1alpha1",
            "kind": "ServiceLevelObjective",
            "metadata": {"name": "web", "namespace": "monitoring"},
            "spec": {
                "target": "99",
                "window": "2w",
                "indicator": {"ratio": {"errors": {"metric": "bad_total"}, "total": {"metric": "all_total"}}},
            },
        },
        "kind: is a Pyrra file",
        "'counter: true', errors as 'bad'",
    ),
    "slo-generator": (
        {
            "apiVersion": "sre.google.com/v2",
            "kind": "ServiceLevelObjective",
            "metadata": {"name": "web"},
            "spec": {"backend": "prometheus", "method": "good_bad_ratio", "goal": 0.99},
        },
        "apiVersion: is a file of slo-generator",
        "goal as target",
    ),
    "nobl9": (
        {"apiVersion": "n9/v1alpha", "kind": "SLO", "metadata": {"name": "web", "project": "p"}, "spec": {}},
        "apiVersion: is a Nobl9 file",
        "as OpenSLO v1",
    ),
    "v1alpha": (
        {
            "apiVersion": "openslo/v1alpha",
            "kind": "SLO",
            "metadata": {"name": "web", "displayName": "Web"},
            "spec": {
                "service": "web",
                "budgetingMethod": "Occurrences",
                "timeWindows": [{"unit": "Day", "count": 28, "isRolling": True}],
                "objectives": [
                    {
                        "target": 0.99,
                        "ratioMetrics": {
                            "incremental": True,
                            "good": {"source": "prometheus", "queryType": "promql", "query": "good"},
                            "total": {"source": "prometheus", "queryType": "promql", "query": "all"},
                        },
                    }
                ],
            },
        },
        "apiVersion: is OpenSLO v1alpha, which has another shape",
        "the metrics are in indicator",
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_of_another_tool_is_one_line(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it is, what is read, what to do."""
    value, said, todo = FILES[what]
    path = written(tmp_path, value)
    assert main(["slo", "check", str(path)]) == 4
    line, count = capsys.readouterr().err.splitlines()
    assert said in line
    assert "expected OpenSLO v1" in line
    assert todo in line
    assert count == "1 mistake"


def test_objects_beside_it_are_read(tmp_path: Path) -> None:
    """All mistakes come at once, those of others' files with those of ours."""
    mistakes = check([written(tmp_path, [SLOTH, changed("spec.budgetingMethod", "no")])])[1]
    assert [one.path for one in mistakes] == ["version", "spec.budgetingMethod"]


@pytest.mark.parametrize("kind", [["SLO"], {"SLO": 1}, 1, True])
def test_a_kind_that_is_no_word_is_a_mistake(kind: Any, tmp_path: Path) -> None:
    """And no traceback."""
    (said,) = check([written(tmp_path, changed("kind", kind))])[1]
    assert said.path == "kind"
