"""Whether users got answers, and what they got where they did not."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator
from operator import sub
from typing import ClassVar

from servedrill.checkers.checker import Checker, limit
from servedrill.checkers.finding import Finding
from servedrill.history.dialect import Dialect
from servedrill.history.events import RequestRecord
from servedrill.history.history import History
from servedrill.history.requests import NEVER, Requests
from servedrill.stats.figures import durations_s, ttfts_s
from servedrill.stats.percentiles import percentile
from servedrill.stats.requests import duration_s

RETRYABLE = (429, 502, 503, 504)
OWN_MARK = "injected fault: "
"""How messages begin of errors that the toxics make where a drill gives them none of its own."""


class NoFailures(Checker, frozen=True, kw_only=True):
    """Every request was answered whole."""

    window: str
    classes: list[str] | None = None
    requests_min: int = 10

    def __call__(self, history: History) -> Finding:
        requests = history.undisturbed(self.window, classes=self.classes)
        failed = requests.failed
        if len(requests) < self.requests_min and not failed:
            return self.cannot_say(f"{len(requests)} requests in {self.window!r}, at least {self.requests_min} needed")
        return self.says(
            not failed,
            f"{len(failed)} of {len(requests)} failed{_kinds(failed)}",
            threshold="0",
            evidence=failed,
            failing=(len(failed), len(requests)),
            failed=len(failed),
            requests=len(requests),
        )


class NoFailureBeforeFirstToken(Checker, frozen=True, kw_only=True):
    """No request failed before its first token: until then another engine could still have answered it."""

    window: str
    classes: list[str] | None = None
    requests_min: int = 10

    def __call__(self, history: History) -> Finding:
        requests = history.undisturbed(self.window, classes=self.classes)
        failed = requests.keep(
            (failure and first_ns == NEVER) or tries > 1  # a try that the client had to make again counts as much
            for failure, first_ns, tries in requests.columns("failure", "t_first_ns", "tries")
        )
        if len(requests) < self.requests_min and not failed:
            return self.cannot_say(f"{len(requests)} requests in {self.window!r}, at least {self.requests_min} needed")
        return self.says(
            not failed,
            f"{len(failed)} of {len(requests)} failed{_kinds(failed)}",
            threshold="0",
            evidence=failed,
            failing=(len(failed), len(requests)),
            failed=len(failed),
            requests=len(requests),
        )


class BrokenStreamsSaidSo(Checker, frozen=True, kw_only=True):
    """Every stream that broke after its first token was resumed, or, where the stack resumes none, ended in an error
    that says so."""

    window: str
    resumes: bool | None = None
    """None: as promised."""

    def __call__(self, history: History) -> Finding:
        resumes = history.promises.resumes_streams if self.resumes is None else self.resumes
        requests = history.requests(self.window)
        broken = requests.failed.begun
        silent = broken if resumes else broken.keep(failure != "error_event" for failure in broken.failures())
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
        told = zip(requests.failures(), durations_s(requests), requests.column("deadline_s"), strict=True)
        late = requests.keep(
            failure == "deadline" or duration_s > deadline_s + self.slack_s for failure, duration_s, deadline_s in told
        )
        if len(requests) < self.requests_min and not late:
            return self.cannot_say(
                f"{len(requests)} requests in {self.window!r}, at least {self.requests_min} needed",
                requests=len(requests),
            )
        return self.says(
            not late,
            f"{len(late)} of {len(requests)} did not end in time",
            threshold="0",
            evidence=late,
            failing=(len(late), len(requests)),
            requests=len(requests),
        )


class ErrorsReadable(Checker, frozen=True, kw_only=True):
    """Every error has a status, OpenAI's error object, the request's id and, where trying again helps, a
    Retry-After.

    Answers that a fault proxy made itself, and that came through, are the drill's own: nothing is missing of them. What
    no error of the stack has, also while nothing is broken, is a habit of it (`servedrill.dialect.conformance`).
    """

    of_a_fault = True
    window: str
    errors_min: int = 5

    def __call__(self, history: History) -> Finding:
        failed = history.requests(self.window).failed.without_content
        dialect = history.spoken.dialect
        bad = failed.keep(_unreadable(r, dialect) for r in failed)
        if len(failed) < self.errors_min and not bad:
            return self.cannot_say(f"{len(failed)} errors in {self.window!r}, at least {self.errors_min} needed")
        return self.says(
            not bad,
            f"{len(bad)} of {len(failed)} unreadable{_why(bad, dialect)}{_kinds(failed)}",
            threshold="0",
            evidence=bad,
            failing=(len(bad), len(failed)),
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
        failed = history.requests(self.window).failed
        if len(failed) < self.errors_min:
            return self.cannot_say(f"{len(failed)} errors in {self.window!r}, at least {self.errors_min} needed")
        waits = array("d", (_longest_try_s(r) for r in failed))
        half, worst = percentile(waits, 50), max(waits)
        slow = failed.keep(wait > worst_s for wait in waits)
        return self.says(
            half <= median_s and worst <= worst_s,
            f"median {half:.2f} s, slowest {worst:.2f} s",
            threshold=f"median {median_s:g} s, slowest {worst_s:g} s",
            evidence=slow,
            median_s=half,
            worst_s=worst,
        )


class RefusedWith(Checker, frozen=True, kw_only=True):
    """Requests of these classes are refused with one of these statuses, in both stream modes, before anything is
    generated.

    Where 400 would do, so does what the stack says instead of it.
    """

    window: str
    classes: list[str]
    statuses: list[int]

    def moot(self, dialect: Dialect) -> str:
        """Where wrong requests are answered there is nothing to refuse them with."""
        if 400 in self.statuses and not 400 <= dialect.invalid < 500:
            return (
                f"the stack says {dialect.invalid} to a request that is wrong in itself, also while nothing is broken"
            )
        return ""

    def __call__(self, history: History) -> Finding:
        dialect = history.spoken.dialect
        statuses = {*self.statuses, *(dialect.refusals if 400 in self.statuses else ())}
        requests = history.requests(self.window, classes=self.classes)
        if set(requests.column("stream")) != {True, False}:
            return self.cannot_say(f"{len(requests)} requests, both stream modes needed")
        other = requests.keep(
            r.status not in statuses or (dialect.error_object and not r.error_schema_ok) or any(r.texts)
            for r in requests
        )
        seen = Counter(str(r.status or r.failure) for r in requests)
        return self.says(
            not other,
            ", ".join(f"{count} x {status}" for status, count in seen.items()),
            threshold=" or ".join(map(str, sorted(statuses))),
            evidence=other,
        )


class OverloadRefused(Checker, frozen=True, kw_only=True):
    """Above capacity some requests are refused at once with 429 or 503, and those admitted are served in bounded
    time."""

    timing = True
    window: str
    classes: list[str]
    ttft_s_max: float | None = None
    """None: as promised."""
    refused_min: int = 1

    def __call__(self, history: History) -> Finding:
        ttft_s_max = limit(self.ttft_s_max, history, lambda p: p.overload_ttft_s)
        requests = history.requests(self.window, classes=self.classes)
        if not requests:
            return self.cannot_say(f"no requests in {self.window!r}")
        refused = requests.where("status", test=(429, 503).__contains__)
        lost = requests.failed.where("status", test=lambda status: status not in (429, 503))
        worst = percentile(ttfts_s(requests.whole.streams), 99)
        return self.says(
            len(refused) >= self.refused_min and not lost and worst <= ttft_s_max,
            f"{len(refused)} of {len(requests)} refused, {len(lost)} lost{_kinds(lost)}, "
            f"TTFT p99 of the admitted {worst:.2f} s",
            threshold=f">= {self.refused_min} refused, 0 lost, <= {ttft_s_max:g} s",
            evidence=lost,
            refused=len(refused),
            ttft_s_p99=worst,
        )


class FirstTokenBounded(Checker, frozen=True, kw_only=True):
    """No answer begins later than a timeout and another try allow, nor ends later where it comes as a whole: nobody
    waits for an engine that is silent."""

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
        if not answered.begun:
            return self.cannot_say(f"no answers in {self.window!r}")
        waits_s = map(min, ttfts_s(answered), durations_s(answered))
        over_s = array("d", map(sub, waits_s, self._allowed_s(answered)))
        late = answered.keep(over > ttft_s_max for over in over_s)
        worst = max(over_s)
        return self.says(
            not late,
            f"{len(late)} of {len(answered)} waited longer, the longest {worst:.2f} s",
            threshold=f"<= {ttft_s_max:g} s",
            evidence=late,
            failing=(len(late), len(answered)),
            ttft_s_max=worst,
        )

    def _allowed_s(self, requests: Requests) -> Iterator[float]:
        """Of each, for its tokens."""
        return (
            0.0 if stream else self.per_token_s * max_tokens
            for stream, max_tokens in requests.columns("stream", "max_tokens")
        )


class AdmissionBounded(Checker, frozen=True, kw_only=True):
    """No replica takes on more at once than it promised: what is too much is refused, not piled up."""

    needs = "Scrapable"
    words: ClassVar[dict[str, tuple[str, ...]]] = {"engine": ("running", "waiting"), "gateway": ("in_flight",)}
    window: str
    engine_max: int | None = None
    gateway_max: int | None = None
    """None: as promised."""

    def __call__(self, history: History) -> Finding:
        of_engines, of_gateways = history.sources("engine"), history.sources("gateway")
        engine_max = limit(self.engine_max, history, lambda p: p.engine_admits) if of_engines else math.inf
        gateway_max = limit(self.gateway_max, history, lambda p: p.gateway_admits) if of_gateways else math.inf
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
        over = [name for name, peak in peaks.items() if peak > (engine_max if name in of_engines else gateway_max)]
        return self.says(
            not over,
            ", ".join(f"{name} {peak:.0f}" for name, peak in peaks.items()),
            threshold=", ".join(
                f"{what} <= {most:g}"
                for what, most in (("engines", engine_max), ("gateways", gateway_max))
                if most < math.inf
            ),
            evidence=over,
        )


def _longest_try_s(request: RequestRecord) -> float:
    tries_s = ((attempt.t_end_ns - attempt.t_send_ns) / 1e9 for attempt in request.attempts)
    return max(tries_s, default=duration_s(request))


def _unreadable(request: RequestRecord, dialect: Dialect) -> list[str]:
    """Everything that is missing."""
    if OWN_MARK in (request.error_message or ""):
        return []
    attempt = request.attempts[-1] if request.attempts else None
    if request.status is None or attempt is None:
        return [request.failure or "no status"]
    missing = {
        "no error object": dialect.error_object and not request.error_schema_ok,
        "no request id": dialect.error_id != "none" and not request.error_request_id,
        "no Retry-After": request.status in RETRYABLE and attempt.retry_after_s is None,
    }
    return [what for what, lacks in missing.items() if lacks]


def _why(requests: Requests, dialect: Dialect) -> str:
    reasons = Counter(why for r in requests for why in _unreadable(r, dialect))
    return f" ({', '.join(f'{count} x {why}' for why, count in reasons.most_common(5))})" if reasons else ""


def _kinds(requests: Requests) -> str:
    """`` (3 x http_503, 1 x cut)``."""
    kinds = Counter(failure or "asked again" for failure in requests.failures())
    return f" ({', '.join(f'{count} x {kind}' for kind, count in kinds.most_common(3))})" if kinds else ""
