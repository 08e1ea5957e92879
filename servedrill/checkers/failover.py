"""Failover of the front door: traffic leaves a gateway that is gone, open streams end, traffic comes back."""

from __future__ import annotations

from itertools import chain

from servedrill.checkers.checker import Checker, limit
from servedrill.checkers.finding import Finding
from servedrill.history.events import Attempt, RequestRecord
from servedrill.history.history import History


def noticed_s(given: float | None, history: History) -> float:
    """Until clients have noticed: the checks of the DNS name, its TTL, and a little."""
    return history.promises.dns_detect_s + history.promises.dns_ttl_s + 0.4 if given is None else given


class TrafficShifts(Checker, frozen=True, kw_only=True):
    """Within the DNS TTL, the check interval and a little, no client is sent to the gateway that is gone."""

    timing = True
    of_a_fault = True
    fault: str
    gateway: str
    address: str
    window: str
    within_s: float | None = None
    """None: what the DNS name needs, as the stack promises."""

    def __call__(self, history: History) -> Finding:
        within_s = noticed_s(self.within_s, history)
        span = history.fault(self.fault, self.gateway)
        if span is None:
            return self.cannot_say(f"no {self.fault} on {self.gateway}")
        end_ns = history.windows[self.window].end_ns
        from_ns = span.start_ns + int(within_s * 1e9)
        late, stray, last = 0, [], span.start_ns
        for request in history.requests(cancelled=True):
            for attempt in request.attempts:
                if span.start_ns <= attempt.t_send_ns < end_ns:
                    there = connects_to(attempt, self.address)
                    last = max(last, attempt.t_send_ns) if there else last
                    if attempt.t_send_ns >= from_ns:
                        late += 1
                        stray += [request.id] if there else []
        if late < 10:
            return self.cannot_say(f"{late} tries later than {within_s:g} s after the fault, at least 10 needed")
        return self.says(
            not stray,
            f"the last client went there {(last - span.start_ns) / 1e9:.2f} s after the fault; "
            f"{len(stray)} of {late} later than {within_s:g} s",
            threshold="0",
            evidence=stray,
            shifted_s=(last - span.start_ns) / 1e9,
        )


class OpenStreamsEnd(Checker, frozen=True, kw_only=True):
    """Streams that were open through the gateway that is gone end or go on within the idle timeout; none stays
    silent."""

    timing = True
    of_a_fault = True
    fault: str
    gateway: str
    address: str = ""
    """The gateway's, for gateways that do not name themselves in their answers."""
    within_s: float | None = None
    """None: the promised idle timeout."""
    open_min: int = 1

    def __call__(self, history: History) -> Finding:
        within_s = limit(self.within_s, history, lambda p: p.idle_timeout_s)
        span = history.fault(self.fault, self.gateway)
        if span is None:
            return self.cannot_say(f"no {self.fault} on {self.gateway}")
        open_: list[tuple[RequestRecord, Attempt]] = [
            (r, a)
            for r in history.requests().streams
            for a in r.attempts
            if (a.via == self.gateway or (self.address and connects_to(a, self.address)))
            and a.t_send_ns < span.start_ns < a.t_end_ns
        ]
        if len(open_) < self.open_min:
            return self.cannot_say(
                f"{len(open_)} streams were open through {self.gateway}, at least {self.open_min} needed"
            )
        silent = [(r, a) for r, a in open_ if (a.t_end_ns - span.start_ns) / 1e9 > within_s]
        longest = max((a.t_end_ns - span.start_ns) / 1e9 for _, a in open_)
        return self.says(
            not silent,
            f"the last of {len(open_)} open streams ended {longest:.2f} s after the fault",
            threshold=f"<= {within_s:g} s",
            evidence=[r for r, _ in silent],
            ended_s=longest,
        )


class FailuresOnlyWhileDetecting(Checker, frozen=True, kw_only=True):
    """Users notice nothing but while the failure is being detected: who comes later is served."""

    timing = True
    fault: str
    gateway: str
    window: str
    within_s: float | None = None
    """As for `TrafficShifts`."""

    def __call__(self, history: History) -> Finding:
        within_s = noticed_s(self.within_s, history)
        if history.control:
            failed = history.requests(self.window).failed
            return self.says(not failed, f"control: {len(failed)} failed", evidence=failed)
        span = history.fault(self.fault, self.gateway)
        if span is None:
            return self.cannot_say(f"no {self.fault} on {self.gateway}")
        end_ns = history.windows[self.window].end_ns
        from_ns = span.start_ns + int(within_s * 1e9)
        later = history.undisturbed(self.window).due(from_ns, end_ns)
        failed = later.failed
        if len(later) < 10:
            return self.cannot_say(
                f"{len(later)} requests later than {within_s:g} s after the fault, at least 10 needed"
            )
        return self.says(
            not failed, f"{len(failed)} of {len(later)} failed", threshold="0", evidence=failed, failed=len(failed)
        )


class AddressShareRestored(Checker, frozen=True, kw_only=True):
    """After failback the gateway has its share of new connections again."""

    timing = True
    address: str
    window: str
    addresses: int
    last_s: float | None = None
    """None: two seconds at the stack's pace."""
    fair_ratio_min: float = 0.5

    def __call__(self, history: History) -> Finding:
        last_s = limit(self.last_s, history, lambda p: p.pace * 2.0)
        within = history.windows[self.window]
        from_ns = within.end_ns - int(last_s * 1e9)
        tries, there = 0, 0
        for request in history.requests(cancelled=True):
            for attempt in request.attempts:
                if from_ns <= attempt.t_send_ns <= within.end_ns:
                    tries, there = tries + 1, there + connects_to(attempt, self.address)
        if tries < 20:
            return self.cannot_say(f"{tries} tries in the last {last_s:g} s of {self.window!r}, at least 20 needed")
        share = there / tries
        least = self.fair_ratio_min / self.addresses
        return self.says(share >= least, f"{share:.0%} of {tries} tries", threshold=f">= {least:.0%}", share=share)


class NoStaleConnections(Checker, frozen=True, kw_only=True):
    """No request is sent on a connection that its other end has given up: idle ones are dropped before the peer
    does."""

    needs = "Proxied:engines"
    window: str
    classes: list[str]
    exchanges_min: int = 30

    def __call__(self, history: History) -> Finding:
        within = history.windows[self.window]
        sent = history.exchanges.between("t_request_ns", within.start_ns, within.end_ns)
        dead = sent.keep(x.status is None for x in sent)
        failed = history.requests(self.window, classes=self.classes).failed
        if len(sent) < self.exchanges_min and not dead and not failed:
            return self.cannot_say(f"{len(sent)} requests in {self.window!r}, at least {self.exchanges_min} needed")
        return self.says(
            not dead and not failed,
            f"{len(dead)} of {len(sent)} requests met a closed connection, {len(failed)} failed for their users",
            threshold="0",
            evidence=chain((x.request_id or "?" for x in dead), failed),
            stale=len(dead),
        )


def connects_to(attempt: Attempt, address: str) -> bool:
    """Whether a try went to this IP address."""
    return attempt.address.rpartition(":")[0] == address
