"""One event, one line: how it is written, and how it is read, a line of a version still to come included.

An event of a type that this version does not know becomes `Unknown` and keeps its line. A history of a newer format
(its first line says which) may change known events too: one that does not fit any more becomes `Unknown` as well, and
fields that are new are kept in ``extra``. So no line of it is an error, whatever is written again is whole, and a
verdict can say what was not read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, get_args

import msgspec

from servedrill.history.events import FORMAT, AnyEvent, KnownEvent, Unknown
from servedrill.history.guesses import written
from servedrill.secrecy.known import KNOWN, hidden_within

_encode = msgspec.json.Encoder(enc_hook=written).encode
_decoder: msgspec.json.Decoder[KnownEvent] = msgspec.json.Decoder(KnownEvent)
_TAGS = {kind.__struct_config__.tag for kind in get_args(KnownEvent)}


class _Header(msgspec.Struct, frozen=True):
    """What any event of any version has; of any type, for nothing is promised."""

    type: Any = None
    t_ns: Any = None
    host: Any = ""
    format: Any = 1


_decode_header = msgspec.json.Decoder(_Header).decode


def encode(event: AnyEvent) -> bytes:
    """The event's line, without its end."""
    if isinstance(event, Unknown):
        return event.raw
    if event.extra is None:
        line = _encode(event)
    else:
        line = _encode({**msgspec.to_builtins(msgspec.structs.replace(event, extra=None)), **event.extra})
    return _encode(_without_secrets(line)) if KNOWN.stands_in(line) else line


def _without_secrets(line: bytes) -> dict[str, Any]:
    """Of what an event says; its fields have their names, and its figures are what they are."""
    told: dict[str, Any] = msgspec.json.decode(line)
    return {field: value if field == "type" else hidden_within(value) for field, value in told.items()}


class LineDecoder:
    """Decodes the lines of one history, from the first on."""

    def __init__(self, first: bytes = b"") -> None:
        """``first``: the first line, which says the format; without one it is that of this version."""
        self.newer = _format(first) > FORMAT
        self._last_ns = 0
        self.known: Callable[[bytes], KnownEvent] | None = None if self.newer else _decoder.decode
        """What decodes events that this version knows, and raises for others, where nothing more has to be looked
        at."""

    def decode(self, line: bytes) -> AnyEvent:
        """The event of a line. Raises `msgspec.MsgspecError` or `UnicodeDecodeError` for one that is no event."""
        try:
            event = _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            unknown = self._unknown(line)
            if unknown is None:
                raise
            return unknown
        if self.newer:
            self._last_ns = event.t_ns
            msgspec.structs.force_setattr(event, "extra", _extra(event, line))
        return event

    def _unknown(self, line: bytes) -> Unknown | None:
        """The event that cannot be read, if it may be one; where it has no instant, that of the line before."""
        try:
            header = _decode_header(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        known = header.type in _TAGS if isinstance(header.type, str) else True
        timed = isinstance(header.t_ns, int)
        if not self.newer and (known or not timed):
            return None
        self._last_ns = header.t_ns if timed else self._last_ns
        kind, host = (text if isinstance(text, str) else "" for text in (header.type, header.host))
        return Unknown(t_ns=self._last_ns, host=host, kind=kind or "?", raw=line.rstrip(b"\n"))


def _format(line: bytes) -> int:
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        header = _decode_header(line)
        if isinstance(header.format, int):
            return header.format
    return 1


def _extra(event: KnownEvent, line: bytes) -> dict[str, Any] | None:
    """What a line says beyond its event: fields that an event does not have, or that have more in them."""
    kept = {name: msgspec.to_builtins(getattr(event, name), str_keys=True) for name in event.__struct_fields__}
    told: dict[str, Any] = msgspec.json.decode(line)
    return {k: v for k, v in told.items() if k != "type" and (k not in kept or kept[k] != v)} or None
