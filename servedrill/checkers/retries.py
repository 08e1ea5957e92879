"""Retries help and never make things worse: bounded, within a budget, spread in time, not before they were asked
for."""

from __future__ import annotations

from collections import Counter

from servedrill.checkers.checker import Checker, limit
from servedrill.checkers.finding import Finding
from servedrill.checkers.tries import retries, tries_of_each_call
from servedrill.history.events import Exchange
from servedrill.history.history import History
from servedrill.stats.percentiles import percentile


class TriesBounded(Checker, frozen=True, kw_only=True):
    """No request is tried more often than the stack promises, and none that was its own fault is tried twice."""

    needs = "Proxied:engines"
    window: str
    tries_max: int | None = None
    """None: as promised."""
    resumes_max: int = 2
    calls: str = ""
    """Only calls of this request class; empty: all."""

    def __call__(self, history: History) -> Finding:
        tries_max = limit(self.tries_max, history, lambda p: p.tries_max)
        calls = tries_of_each_call(history, self.window)
        if self.calls:
            mine = {a.request_id for r in history.requests(classes=[self.calls]) for a in r.attempts}
            calls = [tries for tries in calls if tries[0].request_id in mine]
        if not calls:
            return self.cannot_say(f"no tries in {self.window!r}")
        over = [
            tries for tries in calls if 1 + len(retries(tries)) > tries_max or len(tries) > tries_max + self.resumes_max
        ]
        wrong = [
            tries
            for tries in calls
            for before, _ in retries(tries)
            if before.status in (400, 401, 403, 404, 409, 413, 422) and not _stale(before)
        ]
        most = max(calls, key=len)
        return self.says(
            not over and not wrong,
            f"at most {len(most)} tries a request; {len(over)} above the limit, {len(wrong)} retried after a 4xx",
            threshold=f"<= {tries_max:g} tries",
            evidence=[tries[0].request_id or "?" for tries in [*over, *wrong]],
            tries_max=len(most),
        )


def _stale(exchange: Exchange) -> bool:
    """404 from an engine that no longer has the model is the gateway's own stale knowledge, and worth another try."""
    return exchange.status == 404


class RetriesWithinBudget(Checker, frozen=True, kw_only=True):
    """All retries together stay within the retry budget, so that an outage is not multiplied."""

    of_a_fault = True
    needs = "Proxied:engines"
    window: str
    ratio: float | None = None
    min_per_s: float | None = None
    burst: float | None = None
    """None: as promised."""
    gateways: int | None = None
    """None: all that were scraped or, where none is, that clients reached."""

    def __call__(self, history: History) -> Finding:
        ratio = limit(self.ratio, history, lambda p: p.retry_budget_ratio)
        min_per_s = limit(self.min_per_s, history, lambda p: p.retry_budget_min_per_s)
        burst = limit(self.burst, history, lambda p: p.retry_budget_burst)
        gateways = self.gateways or len(history.sources("gateway") or _reached(history))
        calls = tries_of_each_call(history, self.window)
        if not calls:
            return self.cannot_say(f"no tries in {self.window!r}")
        made = sum(len(retries(tries)) for tries in calls)
        within = history.windows[self.window]
        asked = sum(history.requests(self.window, cancelled=True).column("tries"))
        if not gateways:
            return self.cannot_say("nobody knows how many gateways there are")
        allowed = gateways * (burst + min_per_s * (within.seconds + 1)) + ratio * asked
        return self.says(
            made <= allowed,
            f"{made} retries for {asked} requests in {within.seconds:.1f} s",
            threshold=f"<= {allowed:.0f} ({ratio:.0%} of requests, "
            f"{min_per_s:g}/s and {burst:g} at once for each of {gateways} gateways)",
            retries=made,
            allowed=allowed,
        )


def _reached(history: History) -> set[str]:
    """Gateways that clients were answered by: by their names or, of those that give none, their addresses."""
    tries = [attempt for request in history.requests(cancelled=True) for attempt in request.attempts]
    return {attempt.via for attempt in tries if attempt.via} or {attempt.address for attempt in tries}


class RetriesSpread(Checker, frozen=True, kw_only=True):
    """Retries wait, each for another time: no thundering herd, no fixed step."""

    timing = True
    of_a_fault = True
    needs = "Proxied:engines"
    window: str = ""
    """Empty: the whole drill."""
    gaps_min: int = 8
    bin_s: float = 0.01
    share_max: float = 0.6
    narrow_max: float = 0.65
    """Of the 20th percentile to the 80th; full jitter gives 0.25, half of it fixed gives 0.67."""
    steps: int = 2
    in_steps_max: float = 0.8
    """Of the waits, of ``steps`` fixed lengths, give or take 3% of the longest ones. Of twenty waits with full jitter
    up to 25 ms so many were in none of 1,000 drills that were tried."""
    step_gaps_min: int = 20

    def __call__(self, history: History) -> Finding:
        gaps = sorted(
            (after.t_request_ns - before.t_end_ns) / 1e9
            for tries in tries_of_each_call(history, self.window)
            for before, after in retries(tries)
            if before.t_end_ns is not None and not before.retry_after_s
        )
        if len(gaps) < self.gaps_min:
            return self.cannot_say(
                f"{len(gaps)} retries in {self.window or 'the whole drill'!r}, at least {self.gaps_min} needed",
                retries=len(gaps),
            )
        densest = max(sum(start <= gap < start + self.bin_s for gap in gaps) for start in gaps) / len(gaps)
        narrow = percentile(gaps, 20) / max(1e-9, percentile(gaps, 80))
        fixed = _in_steps(gaps, self.steps) if len(gaps) >= self.step_gaps_min else 0.0
        steps = f", {fixed:.0%} of them of {self.steps} lengths" if fixed > self.in_steps_max else ""
        return self.says(
            densest <= self.share_max and narrow <= self.narrow_max and not steps,
            f"{len(gaps)} waits of {gaps[0] * 1e3:.0f} to {gaps[-1] * 1e3:.0f} ms, "
            f"{densest:.0%} of them within {self.bin_s * 1e3:.0f} ms of each other, "
            f"20th to 80th percentile {narrow:.2f}{steps}",
            threshold=f"<= {self.share_max:.0%} within {self.bin_s * 1e3:.0f} ms, "
            f"20th to 80th percentile <= {self.narrow_max:g}",
            narrow_ratio=narrow,
            densest_ratio=densest,
            retries=len(gaps),
        )


def _in_steps(waits_s: list[float], steps: int) -> float:
    """Share of some waits, in order, that the ``steps`` commonest lengths cover."""
    width_s = max(0.003, 0.03 * percentile(waits_s, 95))
    left = waits_s
    for _ in range(steps):
        commonest = max(([other for other in left if wait <= other <= wait + width_s] for wait in left), key=len)
        left = [wait for wait in left if wait not in commonest]
        if not left:
            break
    return 1 - len(left) / len(waits_s)


class RetryAfterHonoured(Checker, frozen=True, kw_only=True):
    """No try comes before the latest Retry-After has passed: after a 429 at any engine, after a 503 at the one that
    said it.

    A gateway that waits as long by itself has not been seen to listen.
    """

    of_a_fault = True
    needs = "Proxied:engines"
    window: str
    asked_min: int = 3
    slack_s: float = 0.03

    def __call__(self, history: History) -> Finding:
        asked, early, longest_s = 0, [], 0.0
        for tries in tries_of_each_call(history, self.window):
            for index, before in enumerate(tries):
                if not before.retry_after_s or before.t_response_ns is None:
                    continue
                asked, longest_s = asked + 1, max(longest_s, before.retry_after_s)
                waits_s = [
                    (after.t_request_ns - before.t_response_ns) / 1e9
                    for after in tries[index + 1 :]
                    if before.status == 429 or after.hop == before.hop
                ]
                if waits_s and min(waits_s) < before.retry_after_s - self.slack_s:
                    early.append(before.request_id or "?")
        if asked < self.asked_min and not early:
            return self.cannot_say(
                f"{asked} answers with Retry-After in {self.window!r}, at least {self.asked_min} needed", asked=asked
            )
        unasked_s = _unasked_wait_s(history)
        if not early and unasked_s >= longest_s - self.slack_s:
            return self.cannot_say(
                f"waits of {unasked_s:.2f} s are its own habit, so {longest_s:g} s may be no more than that",
                asked=asked,
            )
        return self.says(
            not early,
            f"{len(early)} of {asked} not waited for",
            threshold="0",
            evidence=early,
            failing=(len(early), asked),
            asked=asked,
            early=len(early),
        )


def _unasked_wait_s(history: History) -> float:
    """The median wait before a first retry that nobody asked to be late; 0 where there is none."""
    waits_s = [
        (after.t_request_ns - before.t_end_ns) / 1e9
        for tries in tries_of_each_call(history, "")
        for before, after in retries(tries)[:1]
        if before.t_end_ns is not None and not before.retry_after_s
    ]
    return percentile(waits_s, 50) if waits_s else 0.0


class TriesSpread(Checker, frozen=True, kw_only=True):
    """A request that failed at one engine is tried at another."""

    of_a_fault = True
    needs = "Proxied:engines"
    window: str
    retries_min: int = 3

    def __call__(self, history: History) -> Finding:
        pairs = [pair for tries in tries_of_each_call(history, self.window) for pair in retries(tries)]
        if len(pairs) < self.retries_min:
            return self.cannot_say(f"{len(pairs)} retries in {self.window!r}, at least {self.retries_min} needed")
        stuck = [before for before, after in pairs if before.hop == after.hop]
        hops = Counter(before.hop for before in stuck)
        return self.says(
            len(stuck) <= len(pairs) * 0.1,
            f"{len(stuck)} of {len(pairs)} retries went to the same engine {dict(hops) or ''}",
            threshold="<= 10%",
            evidence=[b.request_id or "?" for b in stuck],
            failing=(len(stuck), len(pairs)),
        )


class EveryTryAnswered(Checker, frozen=True, kw_only=True):
    """Every request that reaches an engine is answered by it, but for those that a fault on that engine swallowed."""

    needs = "Proxied:engines"
    window: str
    tries_min: int = 30

    def __call__(self, history: History) -> Finding:
        within = history.windows[self.window]
        sent = history.exchanges.between("t_request_ns", within.start_ns, within.end_ns)
        lost = [x for x in sent if x.status is None and x.t_end_ns is not None and not _excused(history, x)]
        if len(sent) < self.tries_min and not lost:
            return self.cannot_say(f"{len(sent)} tries in {self.window!r}, at least {self.tries_min} needed")
        return self.says(
            not lost,
            f"{len(lost)} of {len(sent)} tries got no answer though nothing was broken",
            threshold="0",
            evidence=[x.request_id or "?" for x in lost],
            failing=(len(lost), len(sent)),
            lost=len(lost),
        )


def _excused(history: History, exchange: Exchange) -> bool:
    """Whether a fault on the engine overlaps the try."""
    end_ns = exchange.t_end_ns or history.end_ns
    return any(
        span.injected.target == exchange.hop
        and span.start_ns <= end_ns
        and exchange.t_request_ns <= (span.end_ns or history.end_ns)
        for span in history.faults
    )
