"""What the stored runs of drills have spent of an SLO's budget."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from servedrill.errors import UsageError
from servedrill.history.events import DrillStarted, Observed
from servedrill.history.history import History
from servedrill.history.journal import read_events
from servedrill.slo.budget import Budget, spend
from servedrill.slo.durations import period_start
from servedrill.slo.evaluate import attained_in, events, series, traffic_span
from servedrill.slo.replay import Fired, replay
from servedrill.slo.slo import Slo
from servedrill.slo.windows import burn_alerts

HISTORY = "history.jsonl"


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """One drill's part."""

    folder: str
    drill: str
    began: datetime
    seconds: float
    bad_ratio: float
    spend: float
    alerts: list[Fired] = []
    """What it would have raised, where it spent anything."""


def drill_spend(slo: Slo, history: History) -> tuple[float, float, float]:
    """``(bad ratio, seconds of traffic, spend)`` of one drill; all 0 where the SLO had nothing to judge in it."""
    tally = attained_in(slo, history)
    if not tally.total:
        return 0.0, 0.0, 0.0
    start_ns, end_ns = traffic_span(history)
    seconds = (end_ns - start_ns) / 1e9
    bad_ratio = max(0.0, 1 - tally.ratio)
    return bad_ratio, seconds, spend(bad_ratio, slo.target, seconds=seconds, period_s=slo.period_s)


def drill_replay(slo: Slo, history: History) -> list[Fired]:
    """Which alerts of the SLO the drill would have raised within a clean period."""
    start_ns, end_ns = traffic_span(history)
    slice_s = slo.slice_s if slo.method != "Occurrences" and slo.slice_s else 1.0
    mine = [request for request in history.requests() if slo.covers(request.cls)]
    found = events(slo, mine, start_ns=start_ns, end_ns=end_ns, observed=history.of(Observed))
    return replay(
        series(found, start_ns=start_ns, end_ns=end_ns, bucket_s=slice_s),
        slice_s=slice_s,
        seconds=(end_ns - start_ns) / 1e9,
        target=slo.target,
        alerts=burn_alerts(slo.period_s, slo.alert_windows),
    )


def histories(runs: Path, *, since: datetime, stack: str = "") -> Iterator[tuple[Path, datetime, History]]:
    """Drills of the runs folder that began since then, on a stack of that name if one is given, the oldest first.

    One that cannot be read is an error and not nothing: a budget that leaves it out would be too good.
    """
    for path in sorted(runs.glob(f"*/*/{HISTORY}")):
        if path.parent.parent.is_symlink() or datetime.fromtimestamp(path.stat().st_mtime, UTC) < since:
            continue
        told = read_events(path)
        started = next((event for event in told if isinstance(event, DrillStarted)), None)
        if started is None:
            continue  # cut before it began: nothing was sent
        began = _wall_time(started, path)
        if began >= since and (not stack or started.stack == stack):
            yield path.parent, began, History(told)


def budget_left(
    slos: list[Slo], runs: Path, *, now: datetime, stack: str = ""
) -> dict[str, tuple[Budget, list[Spent]]]:
    """SLO -> its budget by the stored drills of its period, and what each of them spent."""
    begin = {slo.name: _period_begin(slo, now) for slo in slos}
    spent: dict[str, list[Spent]] = {slo.name: [] for slo in slos}
    if slos:
        for folder, began, history in histories(runs, since=min(begin.values()), stack=stack):
            for slo in slos:
                if slo.sli.judged_by_history and began >= begin[slo.name]:
                    bad_ratio, seconds, share = drill_spend(slo, history)
                    drill = history.drill.drill if history.drill is not None else ""
                    spent[slo.name].append(
                        Spent(
                            folder=str(folder),
                            drill=drill,
                            began=began,
                            seconds=seconds,
                            bad_ratio=bad_ratio,
                            spend=share,
                            alerts=drill_replay(slo, history) if share else [],
                        )
                    )
    return {
        slo.name: (
            Budget(
                slo=slo.name,
                target=slo.target,
                period_s=slo.period_s,
                spent=sum(one.spend for one in spent[slo.name]) if slo.sli.judged_by_history else float("nan"),
                of=f"{len(spent[slo.name])} stored drill{'' if len(spent[slo.name]) == 1 else 's'}",
            ),
            spent[slo.name],
        )
        for slo in slos
    }


def _period_begin(slo: Slo, now: datetime) -> datetime:
    if slo.calendar_start:
        return period_start(datetime.fromisoformat(slo.calendar_start), slo.calendar_unit, now)
    return datetime.fromtimestamp(now.timestamp() - slo.period_s, UTC)


def _wall_time(started: DrillStarted, path: Path) -> datetime:
    try:
        began = datetime.fromisoformat(started.wall_time)
    except ValueError:
        raise UsageError(f"wall_time is {started.wall_time!r}", where=str(path), expected="ISO 8601") from None
    return began if began.tzinfo else began.replace(tzinfo=UTC)
