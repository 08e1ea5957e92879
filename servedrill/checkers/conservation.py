"""After quiet everything is back where it was: nobody is served who is gone, nothing is held for nobody."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterator
from itertools import accumulate
from typing import ClassVar

from servedrill.checkers.checker import Checker
from servedrill.checkers.counts import by_what_came
from servedrill.checkers.finding import Finding
from servedrill.history.events import ProcessSeen, RequestRecord, Sample
from servedrill.history.history import History
from servedrill.history.requests import LAST_NS, NEVER, Requests
from servedrill.history.selection import Selection
from servedrill.stats.figures import tpots_s, ttfts_service_s
from servedrill.stats.percentiles import percentile
from servedrill.stats.requests import tokens_received

_ENGINE_WORDS = ("running", "waiting", "kv_usage")
_GATEWAY_WORDS = ("in_flight", "queue", "upstream_in_flight")
_GAUGES: dict[str, tuple[str, ...]] = {"engine": ("|".join(_ENGINE_WORDS),), "gateway": ("|".join(_GATEWAY_WORDS),)}
_COUNTS: dict[str, tuple[str, ...]] = {"engine": ("generated_tokens",)}


class NothingLeft(Checker, frozen=True, kw_only=True):
    """In quiet, every gauge of work is at zero: running, waiting, KV blocks, gateways' requests in flight."""

    needs = "Scrapable"
    words = _GAUGES
    window: str
    within_s: float = 1.0

    def __call__(self, history: History) -> Finding:
        within = history.windows[self.window]
        late_ns = within.start_ns + int(self.within_s * 1e9)
        left: list[str] = []
        unpublished: list[str] = []
        seen = 0
        for role, words in (("engine", _ENGINE_WORDS), ("gateway", _GATEWAY_WORDS)):
            for source in history.sources(role):
                samples = [s for s in history.samples(source, window=self.window) if s.t_ns >= late_ns and s.ok]
                if len(samples) < 2:
                    return self.cannot_say(
                        f"{len(samples)} samples of {source} later than {self.within_s:g} s into {self.window!r}"
                    )
                given = [word for word in words if history.publishes(source, word)]
                unpublished += [history.absent(source, word) for word in words if word not in given]
                for word in given:
                    if not any(key.partition("/")[0] == word for key in samples[-1].values):
                        return self.cannot_say(history.absent(source, word))
                if not given:
                    return self.cannot_say(unpublished[-1])
                for sample in samples:
                    seen += 1
                    left += [
                        f"{source} {key} {value:g}"
                        for key, value in sample.values.items()
                        if key.partition("/")[0] in words and value != 0
                    ]
        if not seen:
            return self.cannot_say("no replica was scraped")
        return self.says(
            not left,
            "; ".join([*(dict.fromkeys(left) or [f"all zero in {seen} samples"]), *unpublished]),
            threshold="0",
            evidence=dict.fromkeys(left),
        )


class NothingHeld(Checker, frozen=True, kw_only=True):
    """When the last request is over nothing is held for any: running, waiting, KV blocks, gateways' requests in flight.

    Every drill asks for it in the end, so that what leaks where it is not looked for shows too.
    """

    needs = "Scrapable"
    words = _GAUGES

    def __call__(self, history: History) -> Finding:
        requests = history.requests(cancelled=True)
        if not requests:
            return self.cannot_say("no requests")
        over_ns = max(requests.column("t_end_ns"))
        left: list[str] = []
        unknown: list[str] = []
        silent: list[str] = []
        seen = 0
        for role, words in (("engine", _ENGINE_WORDS), ("gateway", _GATEWAY_WORDS)):
            for source in history.sources(role):
                later = history.samples(source).between("t_ns", over_ns + 1, LAST_NS)
                afterwards = [s for s in later if s.ok]
                if not afterwards:
                    silent.append(f"{source} did not answer any more, so nobody can say what it holds")
                    continue
                given = [word for word in words if history.publishes(source, word)]
                unknown += [history.absent(source, word) for word in words if word not in given]
                for word in given:
                    if not any(key.partition("/")[0] == word for key in afterwards[-1].values):
                        return self.cannot_say(history.absent(source, word))
                seen += bool(given)
                if kept := held(afterwards[-1]):
                    late_s = (afterwards[-1].t_ns - over_ns) / 1e9
                    told = ", ".join(f"{key} {value:g}" for key, value in kept.items())
                    left.append(f"{source} has {told}, {late_s:.1f} s after the last request")
        if not seen or (silent and not left):
            why = silent or ["no gauge of work after the last request"]
            return self.cannot_say("; ".join([*why, *unknown]))
        observed = [*(left or [f"nothing at {seen} replicas"]), *unknown]
        return self.says(not left, "; ".join(observed), threshold="0", evidence=left)


def held(sample: Sample) -> dict[str, float]:
    """Gauges of work that are not at zero."""
    words = _ENGINE_WORDS if sample.role == "engine" else _GATEWAY_WORDS
    return {key: value for key, value in sample.values.items() if key.partition("/")[0] in words and value}


class InFlightTrue(Checker, frozen=True, kw_only=True):
    """Gateways count nobody as in flight who is gone: a slot that was lost would be lost for good.

    A count that is too high for a moment is none: it has to be so throughout the window.
    """

    needs = "Scrapable:gateways"
    words: ClassVar[dict[str, tuple[str, ...]]] = {"gateway": ("in_flight",)}
    window: str
    behind_s: float = 0.6
    """How old a gateway's last word may be: the reading of its page, and the time between two readings."""

    def __call__(self, history: History) -> Finding:
        gateways = history.sources("gateway")
        latest: dict[str, float] = {}
        readings: list[tuple[int, float]] = []
        for sample in history.samples(role="gateway", window=self.window):
            if "in_flight" in sample.values:
                latest[sample.source] = sample.values["in_flight"]
                if len(latest) == len(gateways):
                    readings.append((sample.t_ns, sum(latest.values())))
        unknown = [name for name in gateways if name not in latest]
        if unknown or not gateways:
            return self.cannot_say("; ".join(history.absent(name, "in_flight") for name in unknown) or "no gateway")
        under_way = _under_way(history, [t_ns for t_ns, _ in readings], behind_ns=int(self.behind_s * 1e9))
        excess = [counted - true for (_, counted), true in zip(readings, under_way, strict=False)]
        if len(excess) < 5:
            return self.cannot_say(f"{len(excess)} readings of all gateways in {self.window!r}, at least 5 needed")
        lost = max(0.0, min(excess))
        return self.says(
            not lost,
            f"{lost:g} more in flight than clients have under way, throughout {len(excess)} readings",
            threshold="0",
            evidence=gateways if lost else [],
            lost=lost,
        )


def _under_way(history: History, instants_ns: list[int], *, behind_ns: int) -> Iterator[int]:
    """How many tries of clients were under way at each of some rising instants, or a little before it."""
    turns = [0] * (len(instants_ns) + 1)  # how many more than at the instant before
    for request in history.requests(cancelled=True):
        for attempt in request.attempts:
            first = bisect_left(instants_ns, attempt.t_send_ns)
            last = bisect_right(instants_ns, attempt.t_end_ns + behind_ns)
            if first < last:
                turns[first] += 1
                turns[last] -= 1
    return accumulate(turns)


class GenerationStops(Checker, frozen=True, kw_only=True):
    """Once the last client is gone, no engine generates another token."""

    needs = "Scrapable:engines"
    words = _COUNTS
    window: str
    within_s: float = 1.0

    def __call__(self, history: History) -> Finding:
        late_ns = history.windows[self.window].start_ns + int(self.within_s * 1e9)
        moved: dict[str, float] = {}
        for source in history.sources("engine"):
            counts = [
                s.values["generated_tokens"]
                for s in history.samples(source, window=self.window)
                if s.t_ns >= late_ns and "generated_tokens" in s.values
            ]
            if len(counts) < 2:
                why = "" if counts else f": {history.absent(source, 'generated_tokens')}"
                return self.cannot_say(
                    f"{source} gave {len(counts)} counts later than {self.within_s:g} s into {self.window!r}{why}"
                )
            moved[source] = counts[-1] - counts[0]
        if not moved:
            return self.cannot_say("no engine was scraped")
        total = sum(moved.values())
        return self.says(
            not any(moved.values()),
            f"{total:.0f} tokens later than {self.within_s:g} s after the last client",
            threshold="0",
            evidence=[source for source, count in moved.items() if count],
            tokens=total,
        )


class LittleWasted(Checker, frozen=True, kw_only=True):
    """Engines generate little for clients after they hung up.

    What a client had got by then is known where its answer was streamed; where it was not, the pace of the streams
    beside it says it.
    """

    of_a_fault = True
    needs = "Scrapable:engines"
    words = _COUNTS
    window: str
    tokens_per_cancel_max: float = 4.0

    def __call__(self, history: History) -> Finding:
        return by_what_came(lambda trusted: self._judged(history, trusted=trusted), history)

    def _judged(self, history: History, *, trusted: bool) -> Finding:
        requests = history.requests(self.window, cancelled=True)
        requests = requests.trusted if trusted else requests
        cancelled = requests.cancelled
        sequences = sum(cancelled.column("n"))
        generated = 0.0
        for source in history.sources("engine"):
            before, after = _around(history.samples(source), history.windows[self.window].start_ns, history.end_ns)
            if before is None or after is None:
                return self.cannot_say(
                    f"{source} has no count before and after: {history.absent(source, 'generated_tokens')}"
                )
            generated += after.values.get("generated_tokens", 0.0) - before.values.get("generated_tokens", 0.0)
        if not cancelled or not history.sources("engine"):
            return self.cannot_say(f"{len(cancelled)} cancels, {len(history.sources('engine'))} engines scraped")
        if not generated and any(requests.begun.column("pieces")):
            return self.cannot_say("engines counted no token, though clients received some")
        start_ns = history.windows[self.window].start_ns
        received = sum(map(tokens_received, history.requests(cancelled=True).between("t_end_ns", start_ns, LAST_NS)))
        unstreamed = cancelled.unstreamed
        streams = requests.where("n", test=(1).__eq__)
        streams = streams.keep(tpots_s(streams))
        if unstreamed and not streams:
            return self.cannot_say(
                f"{len(unstreamed)} cancels that were not streamed, and no stream to tell the pace by"
            )
        wanted = _generated_till_hang_up(history, unstreamed, streams) if unstreamed else 0.0
        waste = (generated - received - wanted) / sequences
        return self.says(
            waste <= self.tokens_per_cancel_max,
            f"{generated:.0f} tokens generated, {received} received, about {wanted:.0f} before "
            f"{len(unstreamed)} hung up that were not streamed; {len(cancelled)} cancels of "
            f"{sequences} sequences: {waste:.1f} each for nobody",
            threshold=f"<= {self.tokens_per_cancel_max:g} each",
            wasted_per_cancel=waste,
        )


def _generated_till_hang_up(history: History, unstreamed: Requests, streams: Requests) -> float:
    """Tokens, at the median TTFT of the streams and the TPOT of the less hindered ones; of those that reached an
    engine, where taps and ids tell which did."""
    first_s = percentile(ttfts_service_s(streams), 50)
    token_s = percentile((tpot or 0.0 for tpot in tpots_s(streams)), 25)
    at_engines = {exchange.request_id for exchange in history.exchanges if exchange.request_id}

    def reached(request: RequestRecord) -> bool:
        return any(attempt.request_id in at_engines for attempt in request.attempts)

    told = any(reached(r) for r in unstreamed)  # else a gateway gives ids of its own
    return sum(
        min(r.max_tokens or math.inf, max(0.0, (r.t_end_ns - r.t_send_ns) / 1e9 - first_s) / token_s) * r.n
        for r in unstreamed
        if r.t_send_ns is not None and (reached(r) or not told)
    )


class SocketsReturn(Checker, frozen=True, kw_only=True):
    """Open sockets of every process are back where they were before."""

    needs = "Signallable"
    before: str
    window: str
    slack: int = 8

    def __call__(self, history: History) -> Finding:
        grown: dict[str, int] = {}
        names = {event.name for event in history.of(ProcessSeen) if event.role in ("engine", "gateway")}
        for name in sorted(names):
            seen = history.processes(name)
            # One that serves has a socket that it listens on: none at all is no count.
            first = [p.sockets for p in seen if p.sockets and p.t_ns in history.windows[self.before]]
            last = [p.sockets for p in seen if p.sockets and p.t_ns in history.windows[self.window]]
            if not first or not last:
                return self.cannot_say(f"sockets of {name} were not seen in {self.before!r} and {self.window!r}")
            grown[name] = last[-1] - min(first)
        worst = max(grown, key=lambda name: grown[name])
        return self.says(
            grown[worst] <= self.slack,
            f"{worst} has {grown[worst]:+d} sockets",
            threshold=f"<= +{self.slack} (idle connections that are kept)",
            evidence=[name for name, more in grown.items() if more > self.slack],
            sockets_more=grown[worst],
        )


class CancelsCovered(Checker, frozen=True, kw_only=True):
    """Clients hung up often enough, on every route that there is, in both stream modes, with one choice and several,
    queued ones too."""

    of_a_fault = True
    window: str
    cancels_min: int = 500

    def __call__(self, history: History) -> Finding:
        cancelled = history.requests(self.window, cancelled=True).cancelled
        cells: Counter[tuple[str, bool, bool]] = Counter((r.route, r.stream, r.n > 1) for r in cancelled)
        before_token = len(cancelled.without_content)
        dialect = history.spoken.dialect
        wanted = [
            (route, stream, many)
            for route in dialect.routes
            for stream in (True, False)
            for many in (True, False)
            if not many or dialect.several(stream=stream)
        ]
        missing = [cell for cell in wanted if not cells[cell]]
        if len(cancelled) < self.cancels_min or missing or not before_token:
            return self.cannot_say(
                f"{len(cancelled)} cancels, {before_token} before a token; without: {missing or 'none'}",
                cancels=len(cancelled),
            )
        return self.says(
            True,
            f"{len(cancelled)} cancels, {before_token} before a token, "
            f"at least {min(cells[c] for c in wanted)} of each kind",
            cancels=len(cancelled),
        )


def _around(samples: Selection[Sample], start_ns: int, end_ns: int) -> tuple[Sample | None, Sample | None]:
    """The last words on generated tokens by two instants."""
    told: list[Sample | None] = []
    for until_ns in (start_ns, end_ns):
        counts = (s for s in samples.between("t_ns", NEVER, until_ns) if "generated_tokens" in s.values)
        told.append(next(iter(deque(counts, maxlen=1)), None))
    return told[0], told[1]
