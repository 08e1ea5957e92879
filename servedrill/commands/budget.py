"""``servedrill budget``: what is left of each error budget, what spent it, what follows.

Exit status 1 when one is spent, 6 when one is not known: a drill that cannot be read may have spent what is left.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servedrill.errors import ExitCode, UsageError
from servedrill.files.arguments import some_path, some_text, some_url
from servedrill.runs.layout import RUNS

if TYPE_CHECKING:
    from servedrill.runs.spent import Spent
    from servedrill.slo.budget import Budget
    from servedrill.slo.slo import Slo

DRILLS_MAX = 5
"""That are named, the most expensive first."""


def register(commands: Any) -> None:
    """Add ``budget`` to the commands."""
    budget = commands.add_parser("budget", help="what is left of the error budgets; exit status 1 when one is spent")
    budget.add_argument(
        "--slo",
        type=some_path,
        action="append",
        metavar="FILE",
        help="SLO file; repeatable (default: the built-in objectives)",
    )
    source = budget.add_mutually_exclusive_group()
    source.add_argument(
        "--runs", type=some_path, metavar="DIR", help=f"what drills spent, by their stored runs (default: {RUNS})"
    )
    source.add_argument(
        "--prometheus",
        type=some_url,
        metavar="URL",
        help="what was spent at all, by a Prometheus (default: the SLO file's data source, if it has one)",
    )
    budget.add_argument(
        "--stack-name",
        type=some_text,
        metavar="NAME",
        help="of stored runs only those on the stack of this name",
    )
    budget.set_defaults(run=_budget)


def _budget(given: argparse.Namespace) -> int:
    from rich.table import Table
    from rich.text import Text

    from servedrill.reporting.shown import shown
    from servedrill.reporting.tables import console_for, print_table
    from servedrill.runs.gate import budgets_of
    from servedrill.runs.spent import budget_left
    from servedrill.slo.openslo import SloFile, read_slos
    from servedrill.slo.policy import ACTIONS, follows
    from servedrill.slo.slo import defaults

    file = read_slos(*given.slo) if given.slo else SloFile(slos=defaults())
    stack = given.stack_name or ""
    url = given.prometheus or ("" if given.runs else file.prometheus_url)
    runs = given.runs or Path(RUNS)
    if given.runs and not runs.is_dir():
        raise UsageError("no such folder", where=str(runs), expected="a folder of runs")
    now = datetime.now(UTC)
    spent: dict[str, list[Spent]] = {}
    damaged: list[UsageError] = []

    def tell(error: UsageError) -> None:
        damaged.append(error)
        print(f"servedrill: {shown(str(error))}; the budgets are told without it", file=sys.stderr)

    if url:
        budgets = budgets_of(file.slos, prometheus_url=url, runs=runs, stack=stack, now=now, on_damage=tell)
    else:
        by_slo = budget_left(file.slos, runs, now=now, stack=stack, on_damage=tell)
        budgets = [budget for budget, _ in by_slo.values()]
        spent = {name: drills for name, (_, drills) in by_slo.items()}
    by_name: dict[str, Slo] = {slo.name: slo for slo in file.slos}

    console = console_for(sys.stdout)
    table = Table(title="error budgets", title_justify="left")
    for column in ("SLO", "target", "over", "spent", "left", "read from"):
        table.add_column(column, overflow="fold")
    for budget in budgets:
        table.add_row(*map(Text, _row(budget, by_name[budget.slo])))
    print_table(console, table)
    for name, drills in spent.items():
        for drill in sorted(drills, key=lambda one: -one.spending.spend)[:DRILLS_MAX]:
            if drill.spending.spend:
                console.print(f"{name}: {_said(drill)}", markup=False, soft_wrap=True)
    for budget in budgets:
        if budget.known and budget.is_spent:
            slo = by_name[budget.slo]
            if slo.agreement == "sla":
                console.print(f"{slo.name}: the agreement is broken", style="bold red", markup=False, soft_wrap=True)
                continue
            words = "; ".join(ACTIONS[word] for word in follows(slo.when_spent))
            console.print(f"{slo.name}: the budget is spent: {words}", style="bold red", markup=False, soft_wrap=True)
    if any(budget.known and budget.is_spent for budget in budgets):
        return ExitCode.FAILED
    unknown = damaged or any(not budget.known for budget in budgets)
    return ExitCode.INCONCLUSIVE if unknown else ExitCode.PASSED


def _row(budget: Budget, slo: Slo) -> tuple[str, ...]:
    from servedrill.slo.durations import short
    from servedrill.slo.words import percent

    name = slo.name + (" (SLA)" if slo.agreement == "sla" else "")
    over = slo.calendar_unit or short(slo.period_s)
    if not budget.known:
        return name, percent(slo.target), over, "unknown", "unknown", budget.of
    return name, percent(slo.target), over, f"{budget.spent:.2%}", f"{budget.left:.2%}", budget.of


def _said(drill: Spent) -> str:
    from servedrill.slo.words import alert_said

    spent = drill.spending
    alerts = [f"{alert_said(one.alert)} after {one.fired_s:.0f} s" for one in spent.alerts]
    would = f"would raise: {', '.join(alerts)}" if alerts else "would raise no alert"
    bad = f"{spent.bad_ratio:.2%} bad for {spent.seconds:.0f} s"
    return f"{drill.drill} spent {spent.spend:.4%} ({bad}); {would}; {drill.folder}"
