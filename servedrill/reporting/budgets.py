"""What a run spent of the error budgets, drill by drill, and what the stored runs beside it leave of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from servedrill.errors import UsageError
from servedrill.runs.index import StoredSpending, open_index
from servedrill.runs.layout import RUN
from servedrill.runs.stored import StoredRun
from servedrill.slo.spending import Spending


class RunBudget(msgspec.Struct, frozen=True, kw_only=True):
    """One SLO over all drills of a run."""

    slo: str
    agreement: str
    target: float
    period_s: float
    spend: float
    """By this run, as a share of the period's budget."""
    worst_burn: float
    worst_drill: str
    raising: dict[str, list[str]]
    """Severity of a burn-rate alert -> drills that would have raised one."""
    spent_before: float
    """By earlier drills on the same stack, in the period that ends with this run."""
    drills_before: int

    @property
    def left(self) -> float:
        """Share of the budget; negative when it is overspent."""
        return 1 - self.spend - self.spent_before


def run_budgets(run: StoredRun) -> list[RunBudget]:
    """Of each SLO that something in the run was judged by; the ones that lost most first."""
    by_slo: dict[tuple[str, str, float, float], list[tuple[str, Spending]]] = {}
    for drill in run.drills:
        for one in judged(drill.verdict.spending):
            by_slo.setdefault(_same(one), []).append((drill.name, one))
    before = _spent_before(run) if by_slo else []
    found = []
    for key, spent in by_slo.items():
        worst_drill, worst = max(spent, key=lambda pair: pair[1].burn)
        earlier = [
            one.spend
            for stored in before
            for one in stored.spending
            if _same(one) == key and _within(stored.began, run, one.period_s)
        ]
        raising: dict[str, list[str]] = {}
        for name, one in spent:
            for severity in dict.fromkeys(fired.alert.severity for fired in one.alerts):
                raising.setdefault(severity, []).append(name)
        found.append(
            RunBudget(
                slo=worst.slo,
                agreement=worst.agreement,
                target=worst.target,
                period_s=worst.period_s,
                spend=sum(one.spend for _, one in spent),
                worst_burn=worst.burn,
                worst_drill=worst_drill,
                raising=raising,
                spent_before=sum(earlier),
                drills_before=len(earlier),
            )
        )
    return sorted(found, key=lambda one: (-one.spend, one.slo))


def judged(spending: Iterable[Spending]) -> list[Spending]:
    """Those that had anything to judge."""
    return [one for one in spending if one.total]


def _same(one: Spending) -> tuple[str, str, float, float]:
    """An SLO with another target or period is another budget."""
    return one.slo, one.agreement, one.target, one.period_s


def _within(began: str, run: StoredRun, period_s: float) -> bool:
    try:
        return datetime.fromisoformat(began) > datetime.fromisoformat(run.about.began) - timedelta(seconds=period_s)
    except (ValueError, TypeError):
        return False


def _spent_before(run: StoredRun) -> Sequence[StoredSpending]:
    """Of earlier runs beside this one; a folder that lies alone gets no index."""
    beside = (path.parent for path in run.folder.parent.glob(f"*/{RUN}") if not path.parent.is_symlink())
    if not any(folder.resolve() != run.folder.resolve() for folder in beside):
        return []
    try:
        with open_index(run.folder.parent) as index:
            return index.spending_before(run)
    except UsageError:
        return []
