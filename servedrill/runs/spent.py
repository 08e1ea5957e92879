"""What the stored runs of drills have spent of an SLO's budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from servedrill.errors import UsageError
from servedrill.history.events import DrillStarted
from servedrill.history.history import History
from servedrill.history.journal import read_events
from servedrill.runs.layout import HISTORY
from servedrill.slo.budget import Budget
from servedrill.slo.slo import Slo
from servedrill.slo.spending import Spending, spending


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """One drill's part."""

    folder: str
    drill: str
    began: datetime
    spending: Spending


OnDamage = Callable[[UsageError], None]
"""Told of a drill that cannot be read; raises it where that ends everything."""


def raised(error: UsageError) -> None:
    """A drill that cannot be read is an error and not nothing: a budget that leaves it out is too good."""
    raise error


def histories(
    runs: Path, *, since: datetime, stack: str = "", on_damage: OnDamage = raised
) -> Iterator[tuple[Path, datetime, History]]:
    """Drills of the runs folder that began since then, on a stack of that name if one is given, the oldest first."""
    for path in sorted(runs.glob(f"*/*/{HISTORY}")):
        if path.parent.parent.is_symlink() or datetime.fromtimestamp(path.stat().st_mtime, UTC) < since:
            continue
        try:
            told = read_events(path)
            started = next((event for event in told if isinstance(event, DrillStarted)), None)
            began = _wall_time(started, path) if started is not None else since
        except UsageError as error:
            on_damage(error)
            continue
        if started is None:
            continue  # cut before it began: nothing was sent
        if began >= since and (not stack or started.stack == stack):
            yield path.parent, began, History(told)


def budget_left(
    slos: list[Slo], runs: Path, *, now: datetime, stack: str = "", on_damage: OnDamage = raised
) -> dict[str, tuple[Budget, list[Spent]]]:
    """SLO -> its budget by the stored drills of its period, and what each of them spent."""
    begin = {slo.name: slo.period_begin(now) for slo in slos}
    spent: dict[str, list[Spent]] = {slo.name: [] for slo in slos}
    if slos:
        for folder, began, history in histories(runs, since=min(begin.values()), stack=stack, on_damage=on_damage):
            for slo in slos:
                if slo.sli.judged_by_history and began >= begin[slo.name]:
                    drill = history.drill.drill if history.drill is not None else ""
                    spent[slo.name].append(
                        Spent(folder=str(folder), drill=drill, began=began, spending=spending(slo, history))
                    )
    return {
        slo.name: (
            Budget(
                slo=slo.name,
                target=slo.target,
                period_s=slo.period_s,
                spent=sum(one.spending.spend for one in spent[slo.name]) if slo.sli.judged_by_history else float("nan"),
                of=f"{len(spent[slo.name])} stored drill{'' if len(spent[slo.name]) == 1 else 's'}",
            ),
            spent[slo.name],
        )
        for slo in slos
    }


def _wall_time(started: DrillStarted, path: Path) -> datetime:
    try:
        began = datetime.fromisoformat(started.wall_time)
    except ValueError:
        raise UsageError(f"wall_time is {started.wall_time!r}", where=str(path), expected="ISO 8601") from None
    return began if began.tzinfo else began.replace(tzinfo=UTC)
