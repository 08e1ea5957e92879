"""One request told from the instant it was due to its end: its tries, its first token, its stalls, as rows of a
timeline."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Literal, TypeAlias

import msgspec

from servedrill.history.events import Exchange, RequestRecord
from servedrill.judging.words import duration
from servedrill.reporting.marks import Fault
from servedrill.runs.digest import Digest
from servedrill.stats.requests import max_stall_s, ttft_s, whole

STALL_MS = 150
"""Gaps from here on are drawn as holes in the stream; at most the `STALLS_MAX` longest."""
STALLS_MAX = 12
SPAN = 1000.0
"""Width of a timeline, in units of its own."""
TRIES_MAX = 12

_Kind: TypeAlias = Literal["wait", "stream", "stall", "bad", "good", "fault", "plain"]


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a row, in units of `SPAN`."""

    x: float
    width: float
    kind: _Kind


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a timeline."""

    label: str
    detail: str
    segments: list[Segment]


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    id: str
    names: list[str]
    """Every id that findings may call it by."""
    cls: str
    why: str
    failure: str
    due_s: float
    length: str
    facts: list[tuple[str, str]]
    shade: list[Segment]
    """Faults that were in place meanwhile."""
    rows: list[Row]


def stories(digest: Digest, faults: list[Fault]) -> list[Story]:
    """Every request that is worth telling."""
    return [_story(digest, faults, record, why) for record, why in digest.worst.all()]


def _story(digest: Digest, faults: list[Fault], r: RequestRecord, why: str) -> Story:
    scale = _Scale(min([r.t_int_ns, *(attempt.t_send_ns for attempt in r.attempts)]), r.t_end_ns)
    names = {r.id, *(attempt.request_id for attempt in r.attempts if attempt.request_id)}
    wire = [exchange for name in sorted(names) for exchange in digest.rest.exchanges_of.get(name, [])]
    until_s, from_s = digest.at(r.t_end_ns), digest.at(scale.start_ns)
    meanwhile = [f for f in faults if f.start < until_s and (f.end is None or f.end > from_s)]

    def instant_ns(at_s: float) -> int:
        return int(at_s * 1e9) + digest.start_ns

    return Story(
        id=r.id,
        names=sorted(names),
        cls=r.cls,
        why=why,
        failure=r.failure or ("cancelled" if r.cancelled_ns is not None else ""),
        due_s=digest.at(r.t_int_ns),
        length=duration(scale.length_ns / 1e9),
        facts=_facts(r, meanwhile),
        shade=[scale.segment(instant_ns(f.start), instant_ns(f.end or digest.seconds), "fault") for f in meanwhile],
        rows=[_user(r, scale), *_tries(r, scale), *(_exchange(one, r, scale) for one in wire[:TRIES_MAX])],
    )


class _Scale:
    """From instants to places on the timeline of one request."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.start_ns, self.length_ns = start_ns, max(1, end_ns - start_ns)

    def segment(self, from_ns: int, to_ns: int, kind: _Kind) -> Segment:
        x, until = self._place(from_ns), self._place(to_ns)
        return Segment(x=round(x, 1), width=round(max(3.0, until - x), 1), kind=kind)

    def span(self, from_ns: int, to_ns: int | None) -> str:
        """``0.2 s to 1.4 s``, since the request began."""
        until = "no end" if to_ns is None else duration((to_ns - self.start_ns) / 1e9)
        return f"{duration(max(0, from_ns - self.start_ns) / 1e9)} to {until}"

    def _place(self, t_ns: int) -> float:
        return min(SPAN, max(0.0, (t_ns - self.start_ns) / self.length_ns * SPAN))


def _user(r: RequestRecord, scale: _Scale) -> Row:
    segments: list[Segment] = []
    if r.t_first_ns is None:
        segments.append(scale.segment(r.t_int_ns, r.t_end_ns, "bad" if not whole(r) else "wait"))
    else:
        last_ns = r.t_last_ns or r.t_first_ns
        segments.append(scale.segment(r.t_int_ns, r.t_first_ns, "wait"))
        segments.append(scale.segment(r.t_first_ns, last_ns, "stream"))
        segments += [scale.segment(at - gap, at, "stall") for at, gap in _stalls(r)]
        if not whole(r):
            segments.append(scale.segment(last_ns, r.t_end_ns, "bad"))
    return Row(label="user", detail=_what_user_saw(r), segments=segments)


def _tries(r: RequestRecord, scale: _Scale) -> Iterator[Row]:
    for number, attempt in enumerate(r.attempts[:TRIES_MAX], start=1):
        said = str(attempt.status) if attempt.status is not None else attempt.error or "no answer"
        through = " ".join(name for name in (attempt.via, attempt.served_by) if name)
        span = scale.span(attempt.t_send_ns, attempt.t_end_ns)
        kind: _Kind = "good" if attempt.error is None else "bad"
        yield Row(
            label=f"try {number}",
            detail=f"{said}{f' by {through}' if through else ''}, {attempt.address}, {span}",
            segments=[scale.segment(attempt.t_send_ns, attempt.t_end_ns, kind)],
        )


def _exchange(exchange: Exchange, r: RequestRecord, scale: _Scale) -> Row:
    end_ns = exchange.t_end_ns or exchange.t_response_ns
    said = f"{exchange.status or 'no answer'}{f', {exchange.end}' if exchange.end else ''}"
    fine = exchange.status is not None and exchange.status < 400
    return Row(
        label=exchange.hop,
        detail=f"{said}, {scale.span(exchange.t_request_ns, end_ns)}",
        segments=[scale.segment(exchange.t_request_ns, end_ns or r.t_end_ns, "plain" if fine else "bad")],
    )


def _stalls(r: RequestRecord) -> list[tuple[int, int]]:
    """Arrival and length of the longest gaps, ns."""
    if r.t_first_ns is None:
        return []
    arrivals = list(accumulate(r.gaps_ns, initial=r.t_first_ns))[1:]
    long = [(at, gap) for at, gap in zip(arrivals, r.gaps_ns, strict=True) if gap >= STALL_MS * 1_000_000]
    return sorted(sorted(long, key=lambda stall: -stall[1])[:STALLS_MAX])


def _what_user_saw(r: RequestRecord) -> str:
    first = duration(ttft_s(r)) if r.t_first_ns is not None else "never"
    end = r.failure or ("hung up by the drill" if r.cancelled_ns is not None else "whole")
    return f"first token {first}, longest stall {duration(max_stall_s(r))}, {end}"


def _facts(r: RequestRecord, faults: list[Fault]) -> list[tuple[str, str]]:
    facts = [
        ("asked", f"{r.prompt_tokens} tokens in, at most {r.max_tokens or 'any'} out, "
                  f"{'streamed' if r.stream else 'not streamed'}{f', {r.n} choices' if r.n > 1 else ''}"),
        ("got", f"{_tokens(r)} tokens"),
    ]  # fmt: skip
    if r.error_message or r.error_type:
        facts.append(("error", " ".join(str(part) for part in (r.error_status, r.error_type, r.error_message) if part)))
    if faults:
        facts.append(("meanwhile", "; ".join(f"{fault.letter} {fault.label}" for fault in faults)))
    return facts


def _tokens(request: RequestRecord) -> int:
    """As accounted for by the stack, else as pieces of content came."""
    if request.completion_tokens is not None:
        return request.completion_tokens
    return len(request.gaps_ns) + (request.t_first_ns is not None)
