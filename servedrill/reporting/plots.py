"""The plots of a drill, as figures (`servedrill.reporting.figure`).

Gauges show the largest value of a bucket, so that a peak is never averaged away; None is no data.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Literal

import msgspec

from servedrill.checkers.tries import calls
from servedrill.history.promises import Promises
from servedrill.judging.words import duration
from servedrill.reporting.figure import Buckets, Limit, Line, Plot, Point, brief
from servedrill.runs.digest import CANCELLED, Digest
from servedrill.stats.percentiles import percentile

POINTS_MAX = 3_000
_FLOOR_MS = 0.01
"""Latencies are drawn on a logarithmic scale, which has no place for 0."""
_HELD_S = 0.6
"""A gauge holds its last value this long, so that a scrape that came late leaves no hole."""


def plots(digest: Digest) -> list[Plot]:
    """All plots that the history has data for."""
    made = [_ttft, _itl, _errors, _in_flight, _queue, _kv_usage, _attempts, _shares]
    return [plot for make in made if (plot := make(digest)) is not None]


def _summarised(values: list[array[float]], p: float) -> list[Point]:
    return [brief(percentile(bucket, p)) if bucket else None for bucket in values]


def _most(points: Sequence[Point]) -> float:
    return max((point for point in points if point is not None), default=0.0)


def _peak(x: Sequence[float], points: Sequence[Point]) -> float:
    """Where the largest value is."""
    most = _most(points)
    return next((at for at, point in zip(x, points, strict=True) if point == most), 0.0)


def _milliseconds(value_ms: float) -> str:
    return duration(value_ms / 1e3)


def _thinned(rows: list[int]) -> list[int]:
    return rows[:: max(1, math.ceil(len(rows) / POINTS_MAX))]


def _ttft(digest: Digest) -> Plot | None:
    r, buckets = digest.requests, Buckets(digest)
    answered = [row for row in r.rows() if r.first[row] >= 0 and r.stream[row] and not r.cancelled(row)]
    failed = [row for row in r.rows() if r.failure[row] and not r.cancelled(row)]
    if not answered and not failed:
        return None

    def ttft_ms(row: int) -> float:
        return max(_FLOOR_MS, (r.first[row] - r.due[row]) / 1e6)

    values = buckets.collect((r.due[row], ttft_ms(row)) for row in answered)
    x = buckets.middles
    high = _summarised(values, 95)
    lines = [
        Line(label="median", y=_summarised(values, 50), tone="median"),
        Line(label="95th percentile", y=high, tone="high"),
    ]
    if len(answered) <= POINTS_MAX:
        each = [(r.due[row], ttft_ms(row)) for row in answered]
        lines.append(_scattered(digest, each, label="one request", draw="points", tone="quiet"))
    else:
        lines.append(Line(label="longest", y=_summarised(values, 100), tone="most"))
    if failed:
        after = [(r.due[row], max(_FLOOR_MS, (r.end[row] - r.due[row]) / 1e6)) for row in _thinned(failed)]
        lines.append(_scattered(digest, after, label="failed, after", draw="crosses", tone="bad"))
    limits = [
        Limit(y=objective.ttft_s * 1e3, label=f"objective of {name}: {duration(objective.ttft_s)}")
        for name, objective in zip(r.classes.all, r.objectives, strict=True)
        if objective.ttft_s is not None
    ]
    return Plot(
        title="Time to first token",
        unit="ms",
        about=(
            "From the instant a request was due to its first token, streamed requests, by when they were "
            f"due; each {buckets.every}."
        ),
        summary=(
            f"The 95th percentile was highest at {_peak(x, high):.0f} s: {_milliseconds(_most(high))}. "
            f"{len(failed):,} requests failed."
        )
        if answered
        else f"No request got a token; {len(failed):,} failed.",
        x=x,
        lines=lines,
        limits=_distinct(limits),
        log=True,
    )


def _scattered(
    digest: Digest, at: list[tuple[int, float]], *, label: str, draw: Literal["points", "crosses"], tone: str
) -> Line:
    """A point for each request, at its own instant."""
    x = [brief(digest.at(t_ns)) for t_ns, _ in at]
    return Line(label=label, x=x, y=[brief(value) for _, value in at], draw=draw, tone=tone)


def _distinct(limits: list[Limit]) -> list[Limit]:
    """One line a level; who shares it is told once."""
    levels: dict[float, Limit] = {}
    for limit in limits:
        levels.setdefault(limit.y, limit)
    return list(levels.values())


def _itl(digest: Digest) -> Plot | None:
    r, buckets = digest.requests, Buckets(digest)
    values = buckets.collect((at_ns, max(_FLOOR_MS, gap_ns / 1e6)) for at_ns, gap_ns in digest.gaps)
    if not any(values):
        return None
    longest: list[Point] = [None] * buckets.count
    for row in range(len(r)):
        if r.stall_ms[row] > 0:
            at = buckets.of(r.stalled_at[row])
            longest[at] = max(longest[at] or 0.0, brief(max(_FLOOR_MS, r.stall_ms[row])))
    x = buckets.middles
    limits = [
        Limit(y=objective.tpot_s * 1e3, label=f"objective of {name}, a token: {duration(objective.tpot_s)}")
        for name, objective in zip(r.classes.all, r.objectives, strict=True)
        if objective.tpot_s is not None
    ]
    thinned = f"; percentiles of every {digest.gaps.every}th stream" if digest.gaps.every > 1 else ""
    return Plot(
        title="Between tokens",
        unit="ms",
        about=(
            "Time between two pieces of content of a stream, by when the second arrived; each "
            f"{buckets.every}{thinned}."
        ),
        summary=f"The longest gap was {_milliseconds(_most(longest))}, at {_peak(x, longest):.0f} s.",
        x=x,
        lines=[
            Line(label="median", y=_summarised(values, 50), tone="median"),
            Line(label="95th percentile", y=_summarised(values, 95), tone="high"),
            Line(label="longest", y=longest, tone="most"),
        ],
        limits=_distinct(limits),
        log=True,
    )


def _errors(digest: Digest) -> Plot | None:
    r, buckets = digest.requests, Buckets(digest)
    if not len(r):
        return None
    counts: dict[int, array[int]] = {}
    for row in range(len(r)):
        kind = r.failure[row]
        if kind:
            if kind not in counts:
                counts[kind] = array("l", bytes(buckets.count * array("l").itemsize))
            counts[kind][buckets.of(r.end[row])] += 1
    kinds = sorted(counts, key=lambda kind: (r.failures.all[kind] == CANCELLED, -sum(counts[kind])))
    failures = [kind for kind in kinds if r.failures.all[kind] != CANCELLED]
    total = sum(sum(counts[kind]) for kind in failures)
    named = ", ".join(f"{sum(counts[kind]):,} {r.failures.all[kind]}" for kind in failures[:4])
    hung_up = "".join(f" The drill hung up on {sum(counts[kind]):,}." for kind in kinds if kind not in failures)
    return Plot(
        title="Errors by type",
        unit="a second",
        about=f"Requests that failed for their users, by when they ended; each {buckets.every}.",
        summary=f"{total:,} of {len(r):,} requests failed{f': {named}' if named else ''}.{hung_up}",
        x=buckets.middles,
        lines=[
            Line(
                label=r.failures.all[kind],
                y=[brief(count / buckets.width_s) for count in counts[kind]],
                draw="bars",
                tone="quiet" if r.failures.all[kind] == CANCELLED else "",
            )
            for kind in kinds
        ],
        stacked=True,
    )


def _gauge(digest: Digest, buckets: Buckets, role: str, word: str) -> list[Line]:
    """One line a replica: the largest value of each bucket; nothing where it did not answer."""
    lines = []
    held = max(1, math.ceil(_HELD_S / buckets.width_s))
    for source in digest.rest.sources(role):
        y: list[Point] = [None] * buckets.count
        silent = [False] * buckets.count
        for sample in digest.rest.samples(source):
            at = buckets.of(sample.t_ns)
            value = sample.values.get(word)
            if not sample.ok:
                silent[at] = True
            elif value is not None:
                y[at] = max(value, y[at] or 0.0)
        if not any(point is not None for point in y):
            continue
        age, last = held, None
        for at, point in enumerate(y):
            if point is not None:
                age, last = 0, point
            elif silent[at]:
                age = held
            else:
                age += 1
                y[at] = last if age <= held else None
        lines.append(Line(label=source, y=[None if point is None else brief(point) for point in y]))
    return lines


def _highest(x: list[float], lines: list[Line], tell: Callable[[float], str]) -> str:
    worst = max(lines, key=lambda line: _most(line.y))
    if not _most(worst.y):
        return "Zero throughout."
    return f"Highest: {tell(_most(worst.y))} at {worst.label}, {_peak(x, worst.y):.0f} s."


def _in_flight(digest: Digest) -> Plot | None:
    r, buckets = digest.requests, Buckets(digest, least_s=0.25)
    moved = array("l", bytes((buckets.count + 1) * array("l").itemsize))
    for row in range(len(r)):
        if r.sent[row] >= 0:
            moved[buckets.of(r.sent[row])] += 1
            moved[buckets.of(r.end[row]) + 1] -= 1
    under_way: list[Point] = [*accumulate(moved)]
    lines = [
        *([Line(label="clients", y=under_way[:-1], tone="whole")] if len(r) else []),
        *_gauge(digest, buckets, "gateway", "in_flight"),
        *_gauge(digest, buckets, "engine", "running"),
    ]
    return _gauges(
        digest,
        buckets,
        lines,
        title="In flight",
        about="Requests under way: as clients see it, at each gateway, and running in each engine.",
        limits=[(_promised(digest, lambda p: p.gateway_admits), "a gateway admits")],
    )


def _queue(digest: Digest) -> Plot | None:
    buckets = Buckets(digest, least_s=0.25)
    lines = [*_gauge(digest, buckets, "gateway", "queue"), *_gauge(digest, buckets, "engine", "waiting")]
    return _gauges(
        digest,
        buckets,
        lines,
        title="Queue",
        about="Requests that wait for a slot, at each gateway and in each engine.",
        limits=[],
    )


def _gauges(
    digest: Digest, buckets: Buckets, lines: list[Line], *, title: str, about: str, limits: list[tuple[float, str]]
) -> Plot | None:
    if not lines:
        return None
    x, most = buckets.middles, max(_most(line.y) for line in lines)
    return Plot(
        title=title,
        unit="requests",
        about=about,
        summary=_highest(x, lines, lambda value: f"{value:.0f}"),
        x=x,
        lines=lines,
        limits=[Limit(y=level, label=f"{says}: {level:g}") for level, says in limits if level and level <= 2 * most],
    )


def _promised(digest: Digest, promise: Callable[[Promises], float]) -> float:
    """0 where the stack promised nothing of that."""
    return digest.rest.promised(promise, otherwise=0.0)


def _kv_usage(digest: Digest) -> Plot | None:
    buckets = Buckets(digest, least_s=0.25)
    lines = [
        msgspec.structs.replace(line, y=[None if point is None else brief(point * 100) for point in line.y])
        for line in _gauge(digest, buckets, "engine", "kv_usage")
    ]
    if not lines:
        return None
    return Plot(
        title="KV cache in use",
        unit="%",
        about="Share of KV blocks that sequences hold, each engine.",
        summary=_highest(buckets.middles, lines, lambda value: f"{value:.0f}%"),
        x=buckets.middles,
        lines=lines,
        limits=[Limit(y=100, label="all blocks")],
        top=105,
    )


def _attempts(digest: Digest) -> Plot | None:
    r, buckets = digest.requests, Buckets(digest)
    seen = [(tries[0].t_request_ns, float(len(tries))) for tries in calls(digest.rest)]
    what = "Tries that reached engines for one request, by the taps in front of them"
    if not seen:
        seen = [(r.due[row], float(r.tries[row])) for row in range(len(r)) if r.tries[row]]
        what = "Tries of the client for one request"
    if not seen:
        return None
    values = buckets.collect(seen)
    most = _summarised(values, 100)
    limit = _promised(digest, lambda p: p.tries_max)
    return Plot(
        title="Attempts per request",
        unit="tries",
        about=f"{what}, by when the first was made; each {buckets.every}.",
        summary=(
            f"{len(seen):,} requests, {sum(tries for _, tries in seen) / len(seen):.2f} tries each; at most "
            f"{_most(most):.0f}."
        ),
        x=buckets.middles,
        lines=[
            Line(
                label="mean",
                y=[brief(sum(bucket) / len(bucket)) if bucket else None for bucket in values],
                tone="median",
            ),
            Line(label="most", y=most, tone="high"),
        ],
        limits=[Limit(y=limit, label=f"promised: at most {limit:g}")] if limit else [],
        top=max(limit, _most(most), 2) + 0.5,
    )


def _shares(digest: Digest) -> Plot | None:
    buckets = Buckets(digest)
    counts: dict[str, array[int]] = {}
    for exchange in digest.rest.exchanges:
        if exchange.hop not in counts:
            counts[exchange.hop] = array("l", bytes(buckets.count * array("l").itemsize))
        counts[exchange.hop][buckets.of(exchange.t_request_ns)] += 1
    if not counts:
        return None
    hops = sorted(counts)
    totals = [sum(counts[hop][at] for hop in hops) for at in range(buckets.count)]
    everything = max(1, sum(totals))
    return Plot(
        title="Traffic share",
        unit="%",
        about=f"Where tries went, by the taps in front of the engines; each {buckets.every}.",
        summary=", ".join(f"{hop} {sum(counts[hop]) / everything:.0%}" for hop in hops) + " of all tries.",
        x=buckets.middles,
        lines=[
            Line(
                label=hop,
                y=[brief(100 * counts[hop][at] / totals[at]) if totals[at] else None for at in range(buckets.count)],
                draw="area",
            )
            for hop in hops
        ],
        stacked=True,
        top=100,
    )
