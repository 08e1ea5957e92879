"""A large history held in half the memory: what a million records have in common is kept once, gaps as plain numbers.

A decoded `RequestRecord` of a usual answer takes 3.1 kB, of which its gaps between tokens are a quarter (40 bytes a
gap; as an array 8) and texts that every other record has too another quarter. For reading only: nothing in a history
changes, so records can share.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from servedrill.history.events import AnyEvent, Attempt, RequestRecord

_SHARED = ("cls", "route", "model")
_SHARED_LISTS = ("finish_reasons", "models", "fingerprints")
_SHARED_OF_ATTEMPT = ("address", "served_by", "via", "error")
_KINDS_MAX = 100_000
"""Different values that are remembered; with more there is nothing to share."""


def compacted(events: Iterable[AnyEvent]) -> Iterator[AnyEvent]:
    """The same events, just decoded and in nobody else's hands, each made smaller in place."""
    known: dict[Any, Any] = {}
    lists: dict[tuple[Any, ...], list[Any]] = {}
    params: dict[bytes, dict[str, Any]] = {}
    encode = msgspec.json.Encoder().encode
    put = msgspec.structs.force_setattr

    def one(text: Any) -> Any:
        return known.setdefault(text, text) if len(known) < _KINDS_MAX else known.get(text, text)

    def share(thing: RequestRecord | Attempt, names: tuple[str, ...]) -> None:
        for name in names:
            text = getattr(thing, name)
            if text is not None:
                put(thing, name, one(text))

    for event in events:
        if type(event) is RequestRecord:
            share(event, _SHARED)
            for name in _SHARED_LISTS:
                values = getattr(event, name)
                put(event, name, lists.setdefault(tuple(values), values) if len(lists) < _KINDS_MAX else values)
            if event.params and len(params) < _KINDS_MAX:
                put(event, "params", params.setdefault(encode(event.params), event.params))
            if event.t_end_ns == event.t_ns:
                put(event, "t_end_ns", event.t_ns)
            put(event, "deadline_s", one(event.deadline_s))
            put(event, "gaps_ns", array("q", event.gaps_ns))
            for attempt in event.attempts:
                share(attempt, _SHARED_OF_ATTEMPT)
        yield event
