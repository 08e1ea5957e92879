"""Whether users got answers, and what they got where they did not."""

from __future__ import annotations

from collections import Counter

from servedrill.checkers.checker import Checker, limit
from servedrill.checkers.finding import Finding
from servedrill.history.events import RequestRecord
from servedrill.history.history import History
from servedrill.stats.percentiles import percentile
from servedrill.stats.requests import duration_s, max_stall_s, ttft_s, whole

RETRYABLE = (429, 502, 503, 504)


class NoFailures(Checker, frozen=True, kw_only=True):
    """Every request was answered whole."""

    window: str
    classes: list[str] | None = None
    requests_min: int = 10

    def __call__(self, history: History) -> Finding:
        requests = history.undisturbed(self.window, classes=self.classes)
        failed = [request for request in requests if not whole(request)]
        if len(requests) < self.requests_min:
            return self.cannot_say(f"{len(requests)} requests in {self.window!r}, at least {self.requests_min} needed")
        return self.says(
            not failed,
            f"{len(failed)} of {len(requests)} failed{_kinds(failed)}",
            threshold="0",
            evidence=failed,
            failed=len(failed),
            requests=len(requests),
        )


class NoFailureBeforeFirstToken(Checker, frozen=True, kw_only=True):
    """No request failed before its first token: until then another engine could still have answered it."""

    window: str
    classes: list[str] | None = None
    requests_min: int = 10

    def __call__(self, history: History) -> Finding:
        requests = history.requests(self.window, classes=self.classes)
        failed = [request for request in requests if _failed_before_first_token(request)]
        if len(requests) < self.requests_min:
            return self.cannot_say(f"{len(requests)} requests in {self.window!r}, at least {self.requests_min} needed")
        return self.says(
            not failed,
            f"{len(failed)} of {len(requests)} failed{_kinds(failed)}",
            threshold="0",
            evidence=failed,
            failed=len(failed),
            requests=len(requests),
        )


class BrokenStreamsSaidSo(Checker, frozen=True, kw_only=True):
    """Every stream that broke after its first token was resumed, or, where the stack resumes none, ended in an error that says so."""

    window: str
    resumes: bool | None = None
    """None: as promised."""

    def __call__(self, history: History) -> Finding:
        resumes = history.promises.resumes_streams if self.resumes is None else self.resumes
        requests = history.requests(self.window)
        broken = [r for r in requests if r.failure is not None and r.t_first_ns is not None]
        silent = broken if resumes else [r for r in broken if r.failure != "error_event"]
        if not requests:
            return self.cannot_say(f"no requests in {self.window!r}")
        return self.says(
            not silent,
            f"{len(broken)} of {len(requests)} broke{_kinds(broken)}",
            threshold="0 broken" if resumes else "each with an error event",
            evidence=silent,
            broken=len(broken),
        )


class EveryRequestResolved(Checker, frozen=True, kw_only=True):
    """Every request came to an end by its deadline, one way or the other."""

    window: str
    requests_min: int = 10
    slack_s: float = 0.5

    def __call__(self, history: History) -> Finding:
        requests = history.requests(self.window, cancelled=True)
        late = [r for r in requests if r.failure == "deadline" or duration_s(r) > r.deadline_s + self.slack_s]
        if len(requests) < self.requests_min:
            return self.cannot_say(
                f"{len(requests)} requests in {self.window!r}, at least {self.requests_min} needed",
                requests=len(requests),
            )
        return self.says(
            not late,
            f"{len(late)} of {len(requests)} did not end in time",
            threshold="0",
            evidence=late,
            requests=len(requests),
        )


class ErrorsReadable(Checker, frozen=True, kw_only=True):
    """Every error has a status, OpenAI's error object, the request's id and, where trying again helps, a Retry-After."""

    of_a_fault = True
    window: str
    errors_min: int = 5

    def __call__(self, history: History) -> Finding:
        failed = [r for r in history.requests(self.window) if r.failure is not None and r.t_first_ns is None]
        if len(failed) < self.errors_min:
            return self.cannot_say(f"{len(failed)} errors in {self.window!r}, at least {self.errors_min} needed")
        bad = [r for r in failed if _unreadable(r)]
        return self.says(
            not bad,
            f"{len(bad)} of {len(failed)} unreadable{_why(bad)}{_kinds(failed)}",
            threshold="0",
            evidence=bad,
            errors=len(failed),
        )


class ErrorsFast(Checker, frozen=True, kw_only=True):
    """Errors come fast: nobody waits long to be told no."""

    timing = True
    of_a_fault = True
    window: str
    median_s: float | None = None
    """None: the promised timeout of a first token."""
    worst_s: float | None = None
    """None: twice that, and a little."""
    errors_min: int = 5

    def __call__(self, history: History) -> Finding:
        median_s = limit(self.median_s, history, lambda p: p.first_token_timeout_s)
        worst_s = limit(self.worst_s, history, lambda p: p.first_token_timeout_s * 2.0 + 0.5)
        failed = [r for r in history.requests(self.window) if r.failure is not None]
        if len(failed) < self.errors_min:
            return self.cannot_say(f"{len(failed)} errors in {self.window!r}, at least {self.errors_min} needed")
        waits = [
            max((a.t_end_ns - a.t_send_ns) / 1e9 for a in r.attempts) if r.attempts else duration_s(r) for r in failed
        ]
        half, worst = percentile(waits, 50), max(waits)
        slow = [r for r, wait in zip(failed, waits, strict=True) if wait > worst_s]
        return self.says(
            half <= median_s and worst <= worst_s,
            f"median {half:.2f} s, slowest {worst:.2f} s",
            threshold=f"median {median_s:g} s, slowest {worst_s:g} s",
            evidence=slow,
            median_s=half,
            worst_s=worst,
        )


class RefusedWith(Checker, frozen=True, kw_only=True):
    """Requests of these classes are refused with one of these statuses, in both stream modes, before anything is generated."""

    window: str
    classes: list[str]
    statuses: list[int]

    def __call__(self, history: History) -> Finding:
        requests = history.requests(self.window, classes=self.classes)
        if not requests or {r.stream for r in requests} != {True, False}:
            return self.cannot_say(f"{len(requests)} requests, both stream modes needed")
        other = [r for r in requests if r.status not in self.statuses or not r.error_schema_ok or any(r.texts)]
        seen = Counter(str(r.status or r.failure) for r in requests)
        return self.says(
            not other,
            ", ".join(f"{count} x {status}" for status, count in seen.items()),
            threshold=" or ".join(map(str, self.statuses)),
            evidence=other,
        )


class OverloadRefused(Checker, frozen=True, kw_only=True):
    """Above capacity some requests are refused at once with 429 or 503, and those admitted are served in bounded time."""

    timing = True
    window: str
    classes: list[str]
    ttft_s_max: float | None = None
    """None: as promised."""
    refused_min: int = 1

    def __call__(self, history: History) -> Finding:
        requests = history.requests(self.window, classes=self.classes)
        if not requests:
            return self.cannot_say(f"no requests in {self.window!r}")
        ttft_s_max = limit(self.ttft_s_max, history, lambda p: p.overload_ttft_s)
        refused = [r for r in requests if r.status in (429, 503)]
        lost = [r for r in requests if not whole(r) and r.status not in (429, 503)]
        worst = percentile([ttft_s(r) for r in requests if whole(r) and r.stream], 99)
        return self.says(
            len(refused) >= self.refused_min and not lost and worst <= ttft_s_max,
            f"{len(refused)} of {len(requests)} refused, {len(lost)} lost{_kinds(lost)}, TTFT p99 of the admitted {worst:.2f} s",
            threshold=f">= {self.refused_min} refused, 0 lost, <= {ttft_s_max:g} s",
            evidence=lost,
            refused=len(refused),
            ttft_s_p99=worst,
        )


class FirstTokenBounded(Checker, frozen=True, kw_only=True):
    """No answer begins later than a timeout and another try allow, nor ends later where it comes as a whole: nobody waits for an engine that is silent."""

    timing = True
    window: str
    ttft_s_max: float | None = None
    """None: the promised timeout of a first token, and a little."""
    per_token_s: float = 0.05
    """Added for each token asked for, where the answer is not streamed."""
    classes: list[str] | None = None

    def __call__(self, history: History) -> Finding:
        ttft_s_max = limit(self.ttft_s_max, history, lambda p: p.first_token_timeout_s + 0.7)
        answered = history.requests(self.window, classes=self.classes)
        if not any(r.t_first_ns is not None for r in answered):
            return self.cannot_say(f"no answers in {self.window!r}")
        over_s = {
            r.id: min(ttft_s(r), duration_s(r)) - (0.0 if r.stream else self.per_token_s * (r.max_tokens or 0))
            for r in answered
        }
        late = [r for r in answered if over_s[r.id] > ttft_s_max]
        worst = max(over_s.values())
        return self.says(
            not late,
            f"{len(late)} of {len(answered)} waited longer, the longest {worst:.2f} s",
            threshold=f"<= {ttft_s_max:g} s",
            evidence=late,
            ttft_s_max=worst,
        )


class AdmissionBounded(Checker, frozen=True, kw_only=True):
    """No replica takes on more at once than it promised: what is too much is refused, not piled up."""

    needs = "Scrapable"
    window: str
    engine_max: int | None = None
    gateway_max: int | None = None
    """None: as promised."""

    def __call__(self, history: History) -> Finding:
        engine_max = limit(self.engine_max, history, lambda p: p.engine_admits)
        gateway_max = limit(self.gateway_max, history, lambda p: p.gateway_admits)
        peaks: dict[str, float] = {}
        absent = [
            history.absent(source, word)
            for role, words in (("engine", ("running", "waiting")), ("gateway", ("in_flight",)))
            for source in history.sources(role)
            for word in words
            if not any(word in s.values for s in history.samples(source, window=self.window))
        ]
        if absent:
            return self.cannot_say("; ".join(absent))
        for sample in (s for s in history.samples(window=self.window) if s.ok):
            load = sum(sample.values.get(word, 0.0) for word in ("running", "waiting", "in_flight"))
            peaks[sample.source] = max(peaks.get(sample.source, 0.0), load)
        if not peaks:
            return self.cannot_say(f"no samples in {self.window!r}")
        engines = set(history.sources("engine"))
        over = [name for name, peak in peaks.items() if peak > (engine_max if name in engines else gateway_max)]
        return self.says(
            not over,
            ", ".join(f"{name} {peak:.0f}" for name, peak in peaks.items()),
            threshold=f"engines <= {engine_max:g}, gateways <= {gateway_max:g}",
            evidence=over,
        )


class StallBounded(Checker, frozen=True, kw_only=True):
    """No stream stood still for longer than promised."""

    timing = True
    window: str
    stall_s_max: float | None = None
    """None: the promised idle timeout, and a little."""
    classes: list[str] | None = None

    def __call__(self, history: History) -> Finding:
        stall_s_max = limit(self.stall_s_max, history, lambda p: p.idle_timeout_s + 0.6)
        streams = [
            r for r in history.requests(self.window, classes=self.classes) if r.stream and r.t_first_ns is not None
        ]
        if not streams:
            return self.cannot_say(f"no streams in {self.window!r}")
        worst = max(streams, key=max_stall_s)
        over = [r for r in streams if max_stall_s(r) > stall_s_max]
        return self.says(
            not over,
            f"longest stall {max_stall_s(worst):.2f} s ({worst.id})",
            threshold=f"<= {stall_s_max:g} s",
            evidence=over,
            stall_s_max=max_stall_s(worst),
        )


def _failed_before_first_token(request: RequestRecord) -> bool:
    """A try that the client had to make again counts as much as a request that failed for good."""
    return (request.failure is not None and request.t_first_ns is None) or len(request.attempts) > 1


def _unreadable(request: RequestRecord) -> str:
    attempt = request.attempts[-1] if request.attempts else None
    if request.status is None or attempt is None:
        return request.failure or "no status"
    if not request.error_schema_ok:
        return "no error object"
    if not request.error_request_id:
        return "no request_id"
    if request.status in RETRYABLE and attempt.retry_after_s is None:
        return "no Retry-After"
    return ""


def _why(requests: list[RequestRecord]) -> str:
    reasons = Counter(_unreadable(r) for r in requests)
    return f" ({', '.join(f'{count} x {why}' for why, count in reasons.most_common(3))})" if reasons else ""


def _kinds(requests: list[RequestRecord]) -> str:
    """`` (3 x http_503, 1 x cut)``."""
    kinds = Counter(request.failure or "not whole" for request in requests)
    return f" ({', '.join(f'{count} x {kind}' for kind, count in kinds.most_common(3))})" if kinds else ""
