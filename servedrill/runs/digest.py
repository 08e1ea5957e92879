"""One pass over a history that keeps what pictures need: of requests a row of numbers each, of everything else the
event.

A million requests are a million rows of 60 bytes, not a million records of 2,000: that is what lets a page be
drawn of a run that is larger than memory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate, islice

import msgspec

from servedrill.history.clocks import Clocks
from servedrill.history.events import AnyEvent, ClockOffset, DrillStarted, ObjectivesGiven, RequestRecord
from servedrill.history.history import History, Window
from servedrill.history.names import Names
from servedrill.history.promises import counts_known
from servedrill.history.source import Listed, Source
from servedrill.runs.worst import Worst
from servedrill.slo.objectives import Objective, objective_of
from servedrill.slo.slo import Slo, objectives_of
from servedrill.stats.requests import tpot_s

STREAMS_MAX = 16_000
"""Streams whose every gap is kept; of more, every second, fourth ... is. The longest gap of each is always kept."""
_NONE = -1
CANCELLED = "cancelled by the drill"


class Requests:
    """Columns of all requests; a row is one request. Instants in ns, -1 for one that never came."""

    def __init__(self) -> None:
        self.classes, self.failures = Names(), Names()
        _ = self.failures[""]
        self.due, self.sent, self.first, self.end = array("q"), array("q"), array("q"), array("q")
        self.cls, self.failure, self.tries = array("H"), array("H"), array("H")
        self.good, self.stream = array("b"), array("b")
        self.tpot_ms, self.stall_ms = array("d"), array("d")
        self.stalled_at = array("q")
        self.objectives: list[Objective] = []
        self.given: dict[str, Objective] | None = None
        """By class, where the drill is held to an SLO file; it stands at the head of a history."""
        self.counts_known = True
        """As the drill's beginning says."""

    def __len__(self) -> int:
        return len(self.due)

    def add(self, r: RequestRecord) -> None:
        """One more row, judged by its class's objective."""
        cls = self.classes[r.cls]
        if cls == len(self.objectives):
            self.objectives.append(objective_of(r.cls, self.given))
        self.cls.append(cls)
        self.due.append(r.t_int_ns)
        self.sent.append(_NONE if r.t_send_ns is None else r.t_send_ns)
        self.first.append(_NONE if r.t_first_ns is None else r.t_first_ns)
        self.end.append(r.t_end_ns)
        self.failure.append(self.failures[CANCELLED if r.cancelled_ns is not None else r.failure or ""])
        self.tries.append(min(len(r.attempts), 0xFFFF))
        self.good.append(self.objectives[cls].good(r, counts_known=self.counts_known))
        self.stream.append(r.stream)
        tpot = tpot_s(r, counts_known=self.counts_known)
        self.tpot_ms.append(_NONE if tpot is None else tpot * 1e3)
        worst = max(r.gaps_ns, default=0)
        self.stall_ms.append(worst / 1e6)
        at = r.t_first_ns if r.t_first_ns is not None else r.t_end_ns
        self.stalled_at.append(at + sum(r.gaps_ns[: r.gaps_ns.index(worst) + 1]) if worst else at)

    def whole(self, row: int) -> bool:
        """Whether the answer of a row was whole."""
        return self.failure[row] == 0

    def cancelled(self, row: int) -> bool:
        """Whether the drill hung up on a row itself."""
        return self.failures.all[self.failure[row]] == CANCELLED

    @cached_property
    def by_due(self) -> list[int]:
        """Rows in the order in which they were due."""
        return sorted(range(len(self.due)), key=self.due.__getitem__)

    @cached_property
    def _dues(self) -> array[int]:
        return array("q", (self.due[row] for row in self.by_due))

    def rows(self, window: Window | None = None) -> list[int]:
        """Rows that were due in a window; all without one."""
        if window is None:
            return self.by_due
        return self.by_due[bisect_left(self._dues, window.start_ns) : bisect_right(self._dues, window.end_ns)]


class Gaps:
    """The time between pieces of content, of streams that are thinned evenly when there are too many."""

    def __init__(self, limit: int = STREAMS_MAX) -> None:
        self._limit, self._seen = limit, 0
        self.every = 1
        self._streams: list[tuple[int, array[int]]] = []

    def add(self, r: RequestRecord) -> None:
        """The gaps of one stream; what did not stream, or brought nothing, has none."""
        if not r.gaps_ns or r.t_first_ns is None or not r.stream:
            return
        if self._seen % self.every == 0:
            self._streams.append((r.t_first_ns, array("q", r.gaps_ns)))
            if len(self._streams) > self._limit:
                del self._streams[1::2]
                self.every *= 2
        self._seen += 1

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Arrival and gap, both ns."""
        for first_ns, gaps in self._streams:
            yield from zip(islice(accumulate(gaps, initial=first_ns), 1, None), gaps, strict=True)


class Digest:
    """What one drill's history has for pictures."""

    def __init__(self, events: Sequence[AnyEvent] | Source, *, named: frozenset[str] = frozenset()) -> None:
        """``named``: ids of requests that are to be told in detail besides the worst. All instants are put on the clock
        of the drill's machine, as in `servedrill.history.history.History`.

        Raises `UsageError` naming the line where a file has one that is no event.
        """
        self._source: Source = Listed(events) if isinstance(events, Sequence) else events
        self._named = named
        others = self._taken(None)
        if others is None:  # clocks are measured later, too, so all measurements are looked for first
            told = (event for _, event in self._source.placed() if isinstance(event, ClockOffset))
            others = self._taken(Clocks(told)) or []
        self.rest = History(others)
        """Everything but requests."""

    def _taken(self, clocks: Clocks | None) -> list[AnyEvent] | None:
        """Everything but requests, which are taken; None where one is of another machine and there are no clocks."""
        self.requests, self.gaps, self.worst = Requests(), Gaps(), Worst(self._named)
        others: list[AnyEvent] = []
        for _, event in self._source.placed():
            if type(event) is RequestRecord:
                if event.host:
                    if clocks is None:
                        return None
                    event = clocks.on_drills(event)
                self.requests.add(event)
                self.gaps.add(event)
                self.worst.add(event)
            else:
                if type(event) is ObjectivesGiven:
                    self.requests.given = objectives_of(msgspec.convert(event.slos, list[Slo]))
                elif type(event) is DrillStarted:
                    self.requests.counts_known = counts_known(event.promises)
                others.append(event)
        others.sort(key=lambda event: event.t_ns)
        return others

    @property
    def start_ns(self) -> int:
        """The first instant of any event but a request."""
        return self.rest.start_ns

    @cached_property
    def end_ns(self) -> int:
        """The last instant of any event."""
        return max(self.rest.end_ns, max(self.requests.end, default=0))

    @property
    def seconds(self) -> float:
        """How long the drill took, a millisecond at least: plots divide by it."""
        return max(0.001, (self.end_ns - self.start_ns) / 1e9)

    def at(self, t_ns: int) -> float:
        """Seconds since the drill began."""
        return (t_ns - self.start_ns) / 1e9
