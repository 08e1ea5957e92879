"""What pytest's own ``--junitxml`` is told of a drill: properties of its test case."""

from __future__ import annotations

from pathlib import Path

from servedrill.checkers.finding import Answer
from servedrill.checkers.verdict import Verdict


def properties(verdict: Verdict, folder: Path) -> list[tuple[str, object]]:
    """Verdict, seed, times, and the figures of every claim as ``Checker[window].figure``."""
    found: list[tuple[str, object]] = [
        ("verdict", verdict.answer.value),
        ("seed", verdict.seed),
        ("control", verdict.control),
        ("evidence", str(folder)),
        *((f"claims_{answer.value}", len(verdict.of(answer))) for answer in Answer),
    ]
    for name in ("detect_s", "failover_s", "recover_s"):
        value = getattr(verdict, name)
        if value is not None:
            found.append((name, value))
    for finding in verdict.findings:
        where = f"{finding.checker}[{finding.window}]" if finding.window else finding.checker
        found += [(f"{where}.{name}", value) for name, value in finding.figures.items()]
    return found
