"""How long it took to notice, to fail over and to be good again: the times of a verdict, in seconds.

detect is of the first fault that was noticed, fail over of the first, recover after the last. The mean time to restore
(MTTR) is over all of them:

    restored  from a fault's injection to the end of the last bad half second that is its own; 0 where users noticed
              nothing
    users     requests of classes that have an SLO; one that a drill sends to be refused is none
    bad       a half second, longer where the stack goes about it more slowly (its pace), in which more than a quarter
              of the users' requests that were due in it were not good
    its own   until another fault is injected after this one was healed; what is going on then stays its own until it
              ends
    never     the last half second with a request in it is bad and its own
    unknown   no evidence that the fault took effect, or no request of users after it

One fault that users never came back from makes the mean infinite, and one whose time is unknown makes it unknown: it is
never the mean of those that went well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from servedrill.history.events import AlertSeen
from servedrill.history.history import FaultSpan, History
from servedrill.history.requests import LAST_NS, Requests
from servedrill.slo.objectives import good_requests
from servedrill.slo.slo import defaults, objective_in, slos_in

_HALF_S = 0.5
_GOOD_RATIO = 0.75


class Restored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When users were served well again after one fault."""

    fault: str
    target: str
    outcome: Literal["restored", "never", "unknown"]
    seconds: float | None = None
    """From the injection; only of ``restored``."""


@dataclass(frozen=True, slots=True)
class Times:
    """None where there was nothing to time."""

    detect_s: float | None = None
    failover_s: float | None = None
    recover_s: float | None = None
    restored: tuple[Restored, ...] = ()
    """Of every fault, in the order of their injection."""

    @property
    def mttr_s(self) -> float | None:
        """None too where a fault's time is unknown or has no end; ``restored`` says which."""
        found = [one.seconds for one in self.restored if one.seconds is not None]
        return sum(found) / len(found) if found and len(found) == len(self.restored) else None


def timeline(history: History) -> Times:
    """For the first fault of the history, and the restoration of each.

    detect: from the last fault before it to the first gateway that ejects a replica, opens a breaker, or the first
    alert. failover: to the last failure that a user saw while the fault was in place. recover: from the last healing to
    the end of the last half second in which more than a quarter of the requests were not good.
    """
    if not history.faults:
        return Times()
    start_ns = history.faults[0].start_ns
    healed = [span.end_ns for span in history.faults if span.end_ns is not None]
    signs = [a.t_ns for a in history.of(AlertSeen) if a.state == "firing" and a.t_ns > start_ns]
    for sample in history.samples(role="gateway").between("t_ns", start_ns + 1, history.end_ns):
        if any(
            (k.startswith("breaker/") and v == 1) or (k.startswith("healthy/") and v == 0)
            for k, v in sample.values.items()
        ):
            signs.append(sample.t_ns)
            break
    first_end_ns = history.faults[0].end_ns or history.end_ns
    failed = history.requests().due(start_ns, first_end_ns).failed
    half_ns = int(_HALF_S * 1e9 * (history.drill.promises.get("pace", 1.0) if history.drill else 1.0))
    recover_s = None
    if healed:
        last_ns = max(healed)
        halves = _Served(history, history.classes, half_ns).halves(last_ns)
        bad = [end_ns for end_ns, well in halves if not well]
        recover_s = (bad[-1] - last_ns) / 1e9 if bad else 0.0 if halves else None
    given = slos_in(history)
    slos = [slo for slo in (defaults() if given is None else given) if slo.sli.judged_by_history]
    users = [cls for cls in history.classes if any(slo.covers(cls) for slo in slos)]
    served = _Served(history, users, half_ns)
    return Times(
        detect_s=_detected(min(signs), history.faults) if signs else None,
        failover_s=(max(failed.column("t_int_ns")) - start_ns) / 1e9 if failed else 0.0,
        recover_s=recover_s,
        restored=tuple(_restored(span, history.faults, served) for span in history.faults),
    )


def _detected(sign_ns: int, faults: list[FaultSpan]) -> float:
    """Seconds from the last fault that was in place when it was noticed."""
    return (sign_ns - max(span.start_ns for span in faults if span.start_ns <= sign_ns)) / 1e9


class _Served:
    """Whether requests were good, by the instant at which each was due."""

    def __init__(self, history: History, classes: list[str], half_ns: int) -> None:
        self._asked, self._half_ns = history.requests(classes=classes), half_ns
        objective_of = objective_in(history)
        self._good = [good_requests(history, cls, objective_of(cls)) for cls in classes]

    def any_since(self, start_ns: int) -> bool:
        return bool(self._asked.due(start_ns, LAST_NS))

    def halves(self, start_ns: int, end_ns: int | None = None) -> list[tuple[int, bool]]:
        """Half seconds that had requests, from an instant to another or to the last request.

        When each ends, and whether they were served well in it.
        """

        def counted(requests: Iterable[Requests]) -> Counter[int]:
            some = (one.due(start_ns, LAST_NS if end_ns is None else end_ns - 1) for one in requests)
            return sum((one.counted("t_int_ns", start_ns, self._half_ns) for one in some), Counter[int]())

        asked, good = counted([self._asked]), counted(self._good)
        return [
            (start_ns + (number + 1) * self._half_ns, good[number] >= _GOOD_RATIO * asked[number])
            for number in sorted(asked)
        ]


def _restored(span: FaultSpan, faults: list[FaultSpan], served: _Served) -> Restored:
    def came_to(outcome: Literal["restored", "never", "unknown"], seconds: float | None = None) -> Restored:
        return Restored(fault=span.injected.fault, target=span.injected.target, outcome=outcome, seconds=seconds)

    if span.evidence is None or not span.evidence.took_effect or not served.any_since(span.start_ns):
        return came_to("unknown")
    healed_ns = span.end_ns
    next_ns = min(
        (other.start_ns for other in faults if healed_ns is not None and other.start_ns > healed_ns), default=None
    )
    halves = served.halves(span.start_ns, next_ns)
    if next_ns is not None and halves and not halves[-1][1]:
        halves += _until_well(served.halves(next_ns))
    bad = [end_ns for end_ns, well in halves if not well]
    if not bad:
        return came_to("restored", 0.0)
    return came_to("restored", (bad[-1] - span.start_ns) / 1e9) if halves[-1][1] else came_to("never")


def _until_well(halves: list[tuple[int, bool]]) -> list[tuple[int, bool]]:
    """Up to the first good one, or all."""
    first = next((at for at, (_, well) in enumerate(halves) if well), len(halves))
    return halves[: first + 1]
