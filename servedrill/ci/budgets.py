"""What is left of the error budgets after a night: what drills spent by the index of runs, what was spent at all by
Prometheus where the SLO file names one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from servedrill.ci.gate import Budget
from servedrill.ci.record import Asked
from servedrill.judging.words import count
from servedrill.reporting.budgets import run_budgets
from servedrill.runs.gate import budgets_of
from servedrill.runs.stored import StoredRun
from servedrill.slo.openslo import read_slos
from servedrill.slo.promql import Query, query_of


def budgets_left(run: StoredRun, asked: Asked) -> list[Budget]:
    """Of each SLO that something was judged by, the least first. Raises `UsageError` for an SLO file that cannot be
    read any more."""
    found = {
        one.slo: Budget(slo=one.slo, left=one.left, of=f"this run and {count(one.drills_before, 'earlier drill')}")
        for one in run_budgets(run)
    }
    if asked.slo_file:
        file = read_slos(Path(asked.slo_file))
        told = [slo for slo in file.slos if file.prometheus_url and isinstance(query_of(slo), Query)]
        for one in budgets_of(
            told,
            prometheus_url=file.prometheus_url,
            runs=Path(asked.runs),
            stack=asked.stack,
            now=datetime.now(UTC),
        ):
            found[one.slo] = Budget(slo=one.slo, left=one.left if one.known else None, of=one.of)
    return sorted(found.values(), key=lambda one: (one.left is not None, one.left or 0.0))
