"""What a drill is held to, and whether it may start at all: on production only while there is budget left."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

from servedrill.errors import UsageError
from servedrill.history.events import ObjectivesGiven
from servedrill.host.clock import now_ns
from servedrill.runs.spent import OnDamage, budget_left, raised
from servedrill.slo.budget import Budget, budget_of
from servedrill.slo.openslo import SloFile, read_slos
from servedrill.slo.policy import ACTIONS, follows
from servedrill.slo.prometheus import Prometheus
from servedrill.slo.promql import Query, query_of
from servedrill.slo.slo import Slo, defaults, event_of


def given_objectives(path: Path) -> list[ObjectivesGiven]:
    """The SLOs of a file as a history carries them. Raises `UsageError`."""
    return [event_of(read_slos(path).slos, t_ns=now_ns(), source=str(path))]


def objectives_for(slo_file: str | None, *, environment: str, stack: str, runs: Path) -> list[ObjectivesGiven]:
    """What a drill's history begins with. Raises `UsageError` for a drill on production whose budget is spent, or
    cannot be known."""
    if environment == "production":
        refuse_if_spent(read_slos(Path(slo_file)) if slo_file else SloFile(slos=defaults()), stack=stack, runs=runs)
    return given_objectives(Path(slo_file)) if slo_file else []


def refuse_if_spent(file: SloFile, *, stack: str, runs: Path) -> None:
    """Raise `UsageError` when any SLO of the file has no budget left: by its Prometheus where it names one, else by the
    stored drills of the stack."""
    watched = [slo for slo in file.slos if slo.agreement == "slo"]
    budgets = budgets_of(watched, prometheus_url=file.prometheus_url, runs=runs, stack=stack, now=datetime.now(UTC))
    unknown = [budget for budget in budgets if not budget.known]
    if file.prometheus_url and unknown:
        raise UsageError(
            f"no data for the budget of {', '.join(budget.slo for budget in unknown)}",
            where=f"production stack {stack!r}",
            expected="a drill on production only with error budget that is known to be left",
        )
    spent = [budget for budget in budgets if budget.known and budget.is_spent]
    if spent:
        by_name = {slo.name: slo for slo in watched}
        words = dict.fromkeys(word for budget in spent for word in follows(by_name[budget.slo].when_spent))
        raise UsageError(
            "the error budget is spent: "
            + ", ".join(f"{budget.slo} {budget.spent:.0%} ({budget.of})" for budget in spent),
            where=f"production stack {stack!r}",
            expected="budget left before a drill on production",
            hint="; ".join(ACTIONS[word] for word in words),
        )


def budgets_of(
    slos: list[Slo], *, prometheus_url: str, runs: Path, stack: str, now: datetime, on_damage: OnDamage = raised
) -> list[Budget]:
    """Each SLO's budget: from Prometheus where there is one that can tell it, else from stored drills; unknown where
    neither can."""
    if not prometheus_url:
        return [budget for budget, _ in budget_left(slos, runs, now=now, stack=stack, on_damage=on_damage).values()]
    server = Prometheus(prometheus_url)
    told = {slo.name: query for slo in slos if isinstance(query := query_of(slo), Query)}
    left = [slo for slo in slos if slo.name not in told]
    stored = budget_left(left, runs, now=now, stack=stack, on_damage=on_damage)
    return [_from_prometheus(slo, told[slo.name], server) if slo.name in told else stored[slo.name][0] for slo in slos]


def _from_prometheus(slo: Slo, query: Query, server: Prometheus) -> Budget:
    bad_ratio = server.value(query.over(slo.period_s))
    # Rates are extrapolated, so a ratio may leave its bounds by a hair.
    bad_ratio = bad_ratio if math.isnan(bad_ratio) else min(1.0, max(0.0, bad_ratio))
    return budget_of(slo.name, bad_ratio, target=slo.target, period_s=slo.period_s, of=server.url)
