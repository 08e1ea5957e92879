"""What pytest's own ``--junitxml`` is told of a drill: properties of its test case."""

from __future__ import annotations

from pathlib import Path

from servedrill.checkers.finding import Answer
from servedrill.judging.verdict import Verdict
from servedrill.reporting.budgets import judged
from servedrill.reporting.shown import shown
from servedrill.slo.words import alert_said


def properties(verdict: Verdict, folder: Path) -> list[tuple[str, object]]:
    """Verdict, seed, times, error budgets, and the figures of every claim as ``Checker[window].figure``."""
    found: list[tuple[str, object]] = [
        ("verdict", verdict.answer.value),
        ("seed", verdict.seed),
        ("control", verdict.control),
        ("evidence", str(folder)),
        *((f"claims_{answer.value}", len(verdict.of(answer))) for answer in Answer),
    ]
    for name in ("detect_s", "failover_s", "recover_s", "mttr_s"):
        value = getattr(verdict, name)
        if value is not None:
            found.append((name, value))
    if verdict.never_restored:
        found.append(("never_restored", verdict.never_restored))
    for spent in judged(verdict.spending):
        found.append((f"budget_spend_ratio[{spent.slo}]", spent.spend))
        if spent.alerts:
            found.append((f"would_raise[{spent.slo}]", ", ".join(alert_said(one.alert) for one in spent.alerts)))
    for finding in verdict.findings:
        where = f"{finding.checker}[{finding.window}]" if finding.window else finding.checker
        found += [(f"{where}.{name}", value) for name, value in finding.figures.items()]
    return [(shown(name), shown(value) if isinstance(value, str) else value) for name, value in found]
