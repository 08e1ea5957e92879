"""Whether streams are streams: content comes as it is made, in more than one piece, and does not stand still."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import accumulate, compress, pairwise
from math import sqrt
from statistics import correlation

from servedrill.checkers.checker import Checker, limit
from servedrill.checkers.finding import Finding
from servedrill.history.events import RequestRecord
from servedrill.history.history import History
from servedrill.history.requests import LAST_NS, NEVER, Requests
from servedrill.stats.figures import stalls_s, ttfts_service_s

TOKENS_MIN = 8
"""Of each choice: a shorter answer may well come at once."""
TOKEN_S_MAX = 0.0002
"""Tokens that follow each other faster were not made as they came."""
SPREAD_RATIO_MAX = 0.05
"""Of the wait for the first content: how long content that comes in one piece may take at most."""
SURE = 3.0
"""Student's t of a correlation that is not taken for chance."""


class StreamsStream(Checker, frozen=True, kw_only=True):
    """Streams come as they are made: few that are long enough to tell by keep their user waiting and then come in one
    piece.

    Where many do, and who gets a longer answer waits longer, somebody on the way collects them. Where the wait does not
    grow with the answer, an engine may be as fast as that, and nobody can say. An answer that is whole within
    ``noticed_s`` of its sending keeps nobody waiting. A piece may hold any number of tokens.
    """

    timing = True
    window: str
    classes: list[str] | None = None
    noticed_s: float = 0.1
    ratio_max: float = 0.25
    """Of the streams: one gateway in three that collects is too many."""
    streams_min: int = 5

    def __call__(self, history: History) -> Finding:
        streams = history.undisturbed(self.window, classes=self.classes, by="t_first_ns").streams.begun
        streams = streams.keep(length >= TOKENS_MIN for length in _lengths(streams))
        if len(streams) < self.streams_min:
            few = f"{len(streams)} streams of {TOKENS_MIN} tokens or more in {self.window!r}"
            return self.cannot_say(f"{few}, at least {self.streams_min} needed", streams=len(streams))
        lengths, waits_s = array("d", _lengths(streams)), array("d", ttfts_service_s(streams))
        at_once = bytes(map(self._at_once, lengths, waits_s, _spreads_s(streams)))
        found = f"{sum(at_once)} of {len(streams)} came in one piece"
        if sum(at_once) <= self.ratio_max * len(streams):
            return self.says(True, found, threshold=self._threshold, in_one_piece=sum(at_once), streams=len(streams))
        if not self._grow(array("d", compress(lengths, at_once)), array("d", compress(waits_s, at_once))):
            return self.cannot_say(f"{found}, but their wait is not seen to grow with their length")
        return self.says(
            False,
            f"streams do not stream: {found}",
            threshold=self._threshold,
            evidence=streams.keep(at_once),
            in_one_piece=sum(at_once),
            streams=len(streams),
        )

    @property
    def _threshold(self) -> str:
        return f"<= {self.ratio_max:.0%}"

    def _at_once(self, tokens: float, wait_s: float, spread_s: float) -> bool:
        fast = spread_s <= tokens * TOKEN_S_MAX and spread_s <= wait_s * SPREAD_RATIO_MAX
        return fast and self.noticed_s <= wait_s + spread_s

    def _grow(self, lengths: array[float], waits_s: array[float]) -> bool:
        """Whether longer answers were waited for longer, and not by chance."""
        if len(lengths) < self.streams_min or len(set(lengths)) == 1 or len(set(waits_s)) == 1:
            return False
        return correlation(lengths, waits_s) >= SURE / sqrt(len(lengths) - 2 + SURE**2)


class StallBounded(Checker, frozen=True, kw_only=True):
    """No stream stood still for longer than promised.

    Held to it is also who was being answered when the window began, for as long as nothing had been broken before that
    could be the cause. Of who was still being answered at the next fault, only what came before it counts.
    """

    timing = True
    window: str
    stall_s_max: float | None = None
    """None: the promised idle timeout, and a little."""
    classes: list[str] | None = None

    def __call__(self, history: History) -> Finding:
        stall_s_max = limit(self.stall_s_max, history, lambda p: p.idle_timeout_s + 0.6)
        within = history.windows[self.window]
        ended = (span.end_ns for span in history.faults if span.end_ns is not None)
        healed_ns = max((end_ns for end_ns in ended if end_ns < within.start_ns), default=NEVER)
        next_ns = min((s.start_ns for s in history.faults if s.start_ns >= within.end_ns), default=LAST_NS)
        streams = history.requests(classes=self.classes).due(healed_ns + 1, within.end_ns).streams.begun
        streams = streams.where("t_end_ns", test=within.start_ns.__le__)
        if not streams:
            return self.cannot_say(f"no streams in {self.window!r}")
        stalls = array("d", _stalls_until_s(streams, next_ns))
        longest_s = max(stalls)
        worst = streams[stalls.index(longest_s)]
        over = streams.keep(stall_s > stall_s_max for stall_s in stalls)
        return self.says(
            not over,
            f"longest stall {longest_s:.2f} s ({worst.id})",
            threshold=f"<= {stall_s_max:g} s",
            evidence=over,
            stall_s_max=longest_s,
        )


def _stalls_until_s(streams: Requests, until_ns: int) -> Iterator[float]:
    """The longest silence of each, as far as it was before ``until_ns``."""
    later = iter(streams.where("t_end_ns", test=until_ns.__lt__))
    for stall_s, end_ns in zip(stalls_s(streams), streams.column("t_end_ns"), strict=True):
        yield stall_s if end_ns <= until_ns else _stall_until_s(next(later), until_ns)


def _stall_until_s(stream: RequestRecord, until_ns: int) -> float:
    content_ns = accumulate(stream.gaps_ns, initial=stream.t_first_ns or stream.t_end_ns)
    return max(0, *(min(b, until_ns) - min(a, until_ns) for a, b in pairwise([*content_ns, stream.t_end_ns]))) / 1e9


def _lengths(requests: Requests) -> Iterator[float]:
    """Tokens of each choice, as far as anybody counted them, or pieces."""
    return (tokens / n for tokens, n in zip(requests.trusted.tokens(), requests.column("n"), strict=True))


def _spreads_s(requests: Requests) -> Iterator[float]:
    """From the first content to the last."""
    return ((last_ns - first_ns) / 1e9 for first_ns, last_ns in requests.columns("t_first_ns", "t_last_ns"))
