"""More than one clock: instants of other machines, put on the clock of the machine that the drill runs on.

    drill's machine   t0 ─────────────── t1     offset = t_remote - (t0 + t1) / 2
                         ╲             ╱        error  = (t1 - t0) / 2
    another one            t_remote

Whenever the other machine read its clock, it was between t0 and t1, so the true offset lies within the error (Cristian,
Probabilistic clock synchronization, Distributed Computing 3, 1989). Between two measurements the offset is
interpolated, which keeps the order of a machine's events and their durations; before the first and after the last it
stands still.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple, TypeVar, get_args

import msgspec

from servedrill.history.events import Attempt, ClockOffset, Event, KnownEvent, RequestRecord, Unknown

DRIFT_RATIO_MAX = 500e-6
"""How fast two clocks may part: what Linux lets NTP slew a monotonic clock by, 500 ppm (adjtimex(2))."""
DURATIONS = frozenset({"gaps_ns", "offset_ns", "error_ns"})
"""Fields whose name ends in ``_ns`` and that are no instants."""

E = TypeVar("E", bound=Event)
S = TypeVar("S", bound=msgspec.Struct)


def instants(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Fields of an event that are instants of the machine that wrote it."""
    return tuple(name for name in kind.__struct_fields__ if name.endswith("_ns") and name not in DURATIONS)


_INSTANTS = {kind: instants(kind) for kind in (*get_args(KnownEvent), Unknown, Attempt)}


class Trip(NamedTuple):
    """One question to another machine for its time, ns: when it was sent, what was answered, when that came."""

    sent_ns: int
    remote_ns: int
    back_ns: int


def measured(clock: str, trips: Iterable[Trip]) -> ClockOffset:
    """The offset of a machine's clock by the shortest of some round trips. Raises `ValueError` without one."""
    best = min(trips, key=lambda trip: trip.back_ns - trip.sent_ns)
    if best.back_ns < best.sent_ns:
        raise ValueError(f"an answer of {clock} came before its question")
    middle_ns = (best.sent_ns + best.back_ns) // 2
    return ClockOffset(
        t_ns=middle_ns, clock=clock, offset_ns=best.remote_ns - middle_ns, error_ns=best.back_ns - middle_ns
    )


class Clock:
    """Another machine's clock, as it was measured."""

    def __init__(self, offsets: Sequence[ClockOffset]) -> None:
        """``offsets``: at least one, in the order of time."""
        self.jumped = any(_jumped(one, after) for one, after in pairwise(offsets))
        """Whether two measurements cannot be of one clock: the machine was started anew, or slept."""
        self._offsets: list[ClockOffset] = []
        self._remote_ns: list[int] = []
        for one in offsets:
            remote_ns = one.t_ns + one.offset_ns
            if not self._remote_ns or remote_ns > self._remote_ns[-1]:  # else closer to the last than either is sure
                self._offsets.append(one)
                self._remote_ns.append(remote_ns)

    def drill_ns(self, remote_ns: int) -> int:
        """The drill's time of an instant of that machine."""
        at = bisect(self._remote_ns, remote_ns)
        if at in (0, len(self._offsets)):
            return remote_ns - self._offsets[max(0, at - 1)].offset_ns
        start_ns, end_ns = self._remote_ns[at - 1 : at + 1]
        before, after = self._offsets[at - 1].offset_ns, self._offsets[at].offset_ns
        return remote_ns - before - (after - before) * (remote_ns - start_ns) // (end_ns - start_ns)

    def error_ns(self, first_ns: int, last_ns: int) -> float:
        """What `drill_ns` may be wrong by between two instants of that machine; infinite for a clock that jumped.

        With drift d, an interpolated offset is off by at most the larger error of its neighbours and d / 2 of the time
        between them, beyond the last measurement by its error and d of the time since. A hundredth more, because where
        between them an instant lies is only known that well too.
        """
        if self.jumped:
            return math.inf
        half_ns = [(after.t_ns - one.t_ns) / 2 for one, after in pairwise(self._offsets)]
        beyond_ns = max(self._remote_ns[0] - first_ns, last_ns - self._remote_ns[-1])
        drift_ns = DRIFT_RATIO_MAX * max([0, beyond_ns, *half_ns])
        return 1.01 * (max(one.error_ns for one in self._offsets) + drift_ns) + 1


def _jumped(one: ClockOffset, after: ClockOffset) -> bool:
    could_ns = one.error_ns + after.error_ns + DRIFT_RATIO_MAX * (after.t_ns - one.t_ns)
    return abs(after.offset_ns - one.offset_ns) > could_ns


class Clocks:
    """The clocks of all machines that wrote events of a history. It learns them as events pass `on_drills`."""

    def __init__(self, offsets: Iterable[ClockOffset] = (), *, moved: Mapping[str, int] | None = None) -> None:
        """``moved``: machine -> nanoseconds by which its events are put later than its clock says."""
        told: dict[str, list[ClockOffset]] = {}
        for one in sorted(offsets, key=lambda one: one.t_ns):
            told.setdefault(one.clock, []).append(one)
        self._clocks = {host: Clock(measurements) for host, measurements in told.items()}
        self._moved = moved or {}
        self._spans: dict[str, tuple[int, int]] = {}

    def on_drills(self, event: E) -> E:
        """The event with its instants on the drill's clock; as it is where nobody measured the clock of its machine."""
        if not event.host:
            return event
        event = self._put(event, event.host)
        if isinstance(event, RequestRecord):
            attempts = [self._put(attempt, event.host) for attempt in event.attempts]
            event = msgspec.structs.replace(event, attempts=attempts)
        return event

    def _put(self, thing: S, host: str) -> S:
        told = {name: getattr(thing, name) for name in _INSTANTS[type(thing)]}
        told = {name: at for name, at in told.items() if at is not None}
        seen = (*told.values(), *self._spans.get(host, ()))
        self._spans[host] = min(seen), max(seen)
        clock, later_ns = self._clocks.get(host), self._moved.get(host, 0)
        if clock is None:
            return thing
        return msgspec.structs.replace(thing, **{name: clock.drill_ns(at) + later_ns for name, at in told.items()})

    @property
    def errors_ns(self) -> dict[str, float]:
        """Machine that wrote events -> what their instants may be wrong by; infinite where nobody knows."""
        return {
            host: self._clocks[host].error_ns(*span) if host in self._clocks else math.inf
            for host, span in sorted(self._spans.items())
        }

    def why_unknown(self, host: str) -> str:
        """Why an error is infinite."""
        return f"the clock of {host} jumped" if host in self._clocks else f"nobody measured the clock of {host}"


def on_one_clock(events: Sequence[E], *, moved: Mapping[str, int] | None = None) -> tuple[Sequence[E], Clocks]:
    """Events in the order of the drill's time, and the clocks that they were written by; ``moved`` as in `Clocks`."""
    if not any(map(attrgetter("host"), events)):
        return events, Clocks()
    clocks = Clocks((event for event in events if isinstance(event, ClockOffset)), moved=moved)
    return sorted(map(clocks.on_drills, events), key=attrgetter("t_ns")), clocks
