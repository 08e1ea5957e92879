"""A rolling deploy: who is told to end serves out what it has begun and whoever still comes, takes nothing new once it
can be known, ends in time, and never goes together with another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from servedrill.checkers.checker import Checker, limit
from servedrill.checkers.failover import connects_to, noticed_s
from servedrill.checkers.finding import Finding
from servedrill.history.events import Attempt, RequestRecord
from servedrill.history.history import FaultSpan, History


class OpenAnswersFinish(Checker, frozen=True, kw_only=True):
    """A gateway that is told to end finishes what it has begun: no open answer is cut before its grace period is
    over."""

    of_a_fault = True
    gateway: str
    address: str = ""
    """The gateway's, for gateways that do not name themselves in their answers."""
    fault: str = "process_restart"
    grace_s: float | None = None
    """Who is still being answered then may be cut. None: as promised."""
    open_min: int = 1

    def __call__(self, history: History) -> Finding:
        grace_s = limit(self.grace_s, history, lambda p: p.gateway_grace_s)
        span = history.fault(self.fault, self.gateway)
        if span is None:
            return self.cannot_say(f"no {self.fault} on {self.gateway}")
        until_ns = span.start_ns + int(grace_s * 1e9)
        open_ = [
            (request, attempt)
            for request, attempt in _tries(history, self.gateway, self.address)
            if attempt.t_send_ns < span.start_ns < attempt.t_end_ns <= until_ns
        ]
        cut = [request for request, attempt in open_ if attempt.error]
        if len(open_) < self.open_min and not cut:
            return self.cannot_say(f"{len(open_)} answers were open through {self.gateway}, {self.open_min} needed")
        return self.says(
            not cut, f"{len(cut)} of {len(open_)} open answers were cut", threshold="0", evidence=cut, cut=len(cut)
        )


class ServedUntilWithdrawn(Checker, frozen=True, kw_only=True):
    """A gateway that is told to end serves whoever comes until its name leads elsewhere, and nobody is sent to where
    nothing listens."""

    of_a_fault = True
    gateway: str
    address: str
    fault: str = "process_restart"
    grace_s: float | None = None
    """As for `OpenAnswersFinish`."""
    came_min: int = 3

    def __call__(self, history: History) -> Finding:
        grace_s = limit(self.grace_s, history, lambda p: p.gateway_grace_s)
        span = history.fault(self.fault, self.gateway)
        if span is None:
            return self.cannot_say(f"no {self.fault} on {self.gateway}")
        came = [
            (request, attempt)
            for request, attempt in _tries(history, self.gateway, self.address)
            if span.start_ns <= attempt.t_send_ns < (span.end_ns or history.end_ns)
        ]
        until_ns = span.start_ns + int(grace_s * 1e9)
        lost = [request for request, attempt in came if attempt.error and not self._outlasted(attempt, until_ns)]
        if len(came) < self.came_min and not lost:
            return self.cannot_say(f"{len(came)} requests came to {self.gateway} meanwhile, {self.came_min} needed")
        return self.says(
            not lost,
            f"{len(lost)} of {len(came)} that came to {self.gateway} meanwhile were lost",
            threshold="0",
            evidence=lost,
            lost=len(lost),
        )

    def _outlasted(self, attempt: Attempt, until_ns: int) -> bool:
        """Whether it was being answered when the grace period was over."""
        return attempt.status is not None and attempt.t_send_ns < until_ns < attempt.t_end_ns


class WithdrawnInTime(Checker, frozen=True, kw_only=True):
    """A gateway that is told to end says so: once its name has had the time to withdraw it, no client connects to it
    any more."""

    timing = True
    of_a_fault = True
    needs = "Signallable"
    gateway: str
    address: str
    fault: str = "process_restart"
    classes: list[str]
    """Of clients that ask the name for every request; a kept connection may lead to it once more (``stray_max``)."""
    within_s: float | None = None
    """None: what the DNS name needs, as the stack promises."""
    stray_max: int = 0
    tries_min: int = 5

    def __call__(self, history: History) -> Finding:
        within_s = noticed_s(self.within_s, history)
        span = history.fault(self.fault, self.gateway)
        if span is None:
            return self.cannot_say(f"no {self.fault} on {self.gateway}")
        from_ns, gone_ns = span.start_ns + int(within_s * 1e9), _gone_ns(history, self.gateway, span) or history.end_ns
        told = [
            (request, connects_to(attempt, self.address))
            for request in history.requests(classes=self.classes)
            for attempt in request.attempts
            if from_ns <= attempt.t_send_ns < gone_ns
        ]
        stray = [request for request, there in told if there]
        if len(told) < self.tries_min and not stray:
            return self.cannot_say(
                f"{len(told)} tries between {within_s:g} s after it was told and its end, {self.tries_min} needed"
            )
        return self.says(
            len(stray) <= self.stray_max,
            f"{len(stray)} of {len(told)} tries later than {within_s:g} s after it was told went there",
            threshold=f"<= {self.stray_max}" if self.stray_max else "0",
            evidence=stray,
        )


class EndsInTime(Checker, frozen=True, kw_only=True):
    """A replica that is told to end does end, whatever is still open: a deploy is not held up by one stream."""

    timing = True
    of_a_fault = True
    needs = "Signallable"
    replica: str
    fault: str = "process_restart"
    within_s: float | None = None
    """None: as promised."""

    def __call__(self, history: History) -> Finding:
        within_s = limit(self.within_s, history, lambda p: p.ends_within_s)
        span = history.fault(self.fault, self.replica)
        if span is None:
            return self.cannot_say(f"no {self.fault} on {self.replica}")
        gone_ns = _gone_ns(history, self.replica, span)
        seen = [one.t_ns for one in history.processes(self.replica) if one.t_ns > span.start_ns]
        lived_s = ((gone_ns or max(seen, default=span.start_ns)) - span.start_ns) / 1e9
        if gone_ns is None and lived_s <= within_s:
            return self.cannot_say(f"{self.replica} was seen for {lived_s:.1f} s after it was told")
        return self.says(
            lived_s <= within_s,
            f"ended {lived_s:.1f} s after it was told" if gone_ns else f"still there {lived_s:.1f} s after it was told",
            threshold=f"<= {within_s:g} s",
            evidence=[self.replica],
            ended_s=lived_s,
        )


class AllButOneServe(Checker, frozen=True, kw_only=True):
    """At every moment all engines but one and all gateways but one are there for users."""

    needs = "Scrapable"
    window: str

    def __call__(self, history: History) -> Finding:
        both: list[str] = []
        absences = 0
        for role in ("engine", "gateway"):
            gone = [(name, *one) for name in history.sources(role) for one in self._absences(history, name)]
            absences += len(gone)
            gone.sort(key=lambda one: one[1])
            both += [f"{a[0]} and {b[0]}" for a, b in pairwise(gone) if a[0] != b[0] and b[1] < a[2]]
        if not absences and not history.control:
            return self.cannot_say(f"nobody was seen to be away in {self.window!r}")
        return self.says(
            not both,
            "; ".join(f"{names} at the same time" for names in both) or f"{absences} were away, one at a time",
            threshold="one at a time",
            evidence=both,
        )

    def _absences(self, history: History, name: str) -> Iterator[tuple[int, int]]:
        """From the first to the last of two or more looks in a row at which it was not well."""
        run: list[int] = []
        for sample in history.samples(name, window=self.window):
            if sample.health != 200:
                run.append(sample.t_ns)
            elif run:
                if len(run) > 1:
                    yield run[0], run[-1]
                run = []
        if len(run) > 1:
            yield run[0], run[-1]


def _tries(history: History, gateway: str, address: str) -> Iterator[tuple[RequestRecord, Attempt]]:
    """Requests with each of their tries that went through a gateway."""
    for request in history.requests():
        for attempt in request.attempts:
            if attempt.via == gateway or (address and connects_to(attempt, address)):
                yield request, attempt


def _gone_ns(history: History, replica: str, span: FaultSpan) -> int | None:
    """When the process that was told to end was first seen not to be there; None where it always was."""
    seen = history.processes(replica)
    before = [one for one in seen if one.t_ns <= span.start_ns and one.pid is not None]
    if not before:
        return None
    life = (before[-1].pid, before[-1].start_ticks)
    return next((one.t_ns for one in seen if one.t_ns > span.start_ns and (one.pid, one.start_ticks) != life), None)
