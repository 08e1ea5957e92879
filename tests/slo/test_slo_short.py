"""Periods that are too short for multi-window alerts: they are objectives like any other, without such alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from servedrill.commands.main import main
from servedrill.slo.alerting import alerts_of, unwatched, windows_of
from servedrill.slo.dashboard import dashboard_of
from servedrill.slo.openslo import read_slos
from tests.worlds.slos import changed, rules_file, written

SAID = "no burn-rate alerts: 1d is too short for the windows of sloth, which take 6 days or more"
POLICY = {
    "kind": "AlertPolicy",
    "metadata": {"name": "burning"},
    "spec": {
        "alertWhenBreaching": True,
        "conditions": [
            {
                "kind": "AlertCondition",
                "metadata": {"name": "burning-fast"},
                "spec": {
                    "severity": "page",
                    "condition": {
                        "kind": "burnrate",
                        "op": "gte",
                        "threshold": 3,
                        "lookbackWindow": "1h",
                        "alertAfter": "5m",
                    },
                },
            }
        ],
        "notificationTargets": [],
    },
}


def a_day(**spec: Any) -> dict[str, Any]:
    """The plain SLO over one day."""
    slo = changed("spec.timeWindow.0.duration", "1d")
    slo["spec"] |= spec
    return slo


def alerts_in(rules: Path) -> list[str]:
    """Those of SLOs, not the ones that every LLM service has."""
    groups = yaml.safe_load(rules.read_text())["groups"]
    return [
        rule["alert"]
        for group in groups
        if group["name"] != "servedrill-llm"
        for rule in group["rules"]
        if "alert" in rule
    ]


def test_policies_of_its_own_are_all_that_a_short_period_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is left out, so nothing is said."""
    path = written(tmp_path, a_day(alertPolicies=[POLICY]))
    assert main(["slo", "check", str(path)]) == 0
    assert main(["slo", "show", str(path)]) == 0
    assert alerts_in(rules_file(tmp_path, path)) == ["burning-fast"]
    told = capsys.readouterr()
    assert "no burn-rate alerts" not in told.out + told.err
    assert "Alert burning-fast (page): burn rate >= 3 over 1h, for 5m." in told.out


def test_without_them_there_are_no_burn_alerts_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By whatever shows the file, and at the head of the rules; what is left of the budget is recorded all the same."""
    path = written(tmp_path, a_day())
    for command in (["slo", "check"], ["slo", "show"]):
        assert main([*command, str(path)]) == 0
        assert SAID.lower() in capsys.readouterr().out.lower()
    rules = rules_file(tmp_path, path)
    assert alerts_in(rules) == []
    assert f"# chat-ttft: {SAID}" in rules.read_text()
    assert "servedrill:budget_left:ratio" in rules.read_text()
    (slo,) = read_slos(path).slos
    assert (windows_of(slo), alerts_of(slo)) == ([], [])
    assert "chat-ttft: burn rate" not in [panel["title"] for panel in dashboard_of([slo])["panels"]]


def test_windows_that_scale_are_offered_where_they_fit(tmp_path: Path) -> None:
    """Those of Pyrra go down to a fifth of four weeks; asked for, they are there."""
    day = 24 * 60
    path = written(tmp_path, changed("spec.timeWindow.0.duration", f"{6 * day - 60}m"))
    (slo,) = read_slos(path).slos
    assert unwatched(slo).endswith("and so does 'servedrill/alert-windows: pyrra'")
    assert windows_of(slo) == []
    pyrra = changed("spec.timeWindow.0.duration", f"{6 * day - 60}m")
    pyrra["metadata"]["annotations"]["servedrill/alert-windows"] = "pyrra"
    (slo,) = read_slos(written(tmp_path, pyrra)).slos
    assert len(windows_of(slo)) == 4


def test_an_sla_never_had_any(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So none are missed."""
    sla = a_day()
    sla["metadata"]["labels"] = {"agreement": "sla"}
    assert main(["slo", "check", str(written(tmp_path, sla))]) == 0
    assert "no burn-rate alerts" not in capsys.readouterr().out
