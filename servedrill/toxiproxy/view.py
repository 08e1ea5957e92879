"""One direction of one connection as HTTP messages and events: what a toxic that knows HTTP works on.

    bytes ──> framer ──> head | event, event, event | end ──> toxic ──> wire() ──> bytes

A view joins a connection at a message or chunk boundary, which the connection's tap tells it, and passes everything
untouched until then. Bodies are framed anew, one chunk an event, so a toxic may add, drop and change events freely.
What is not HTTP/1.1 passes untouched.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from servedrill.toxiproxy import events
from servedrill.toxiproxy.http1 import Framer, Head, Part, Piece

if TYPE_CHECKING:
    from servedrill.toxiproxy.toxic import HttpStub


class Kind(Enum):
    """What a unit is."""

    RAW = auto()
    """Bytes that are passed as they are: not HTTP, or from before the view joined."""
    HEAD = auto()
    EVENT = auto()
    """A whole server-sent event."""
    BODY = auto()
    """Any other part of a body."""
    END = auto()


class Unit(NamedTuple):
    """A part of a message.

    `nth` counts the events of this stream that carry data from 1; it is 0 for `[DONE]` and for everything else.
    """

    kind: Kind
    data: bytes
    nth: int = 0


class View:
    """The state of one HTTP toxic on one link."""

    __slots__ = (
        "_closes_anew", "_discarding", "_framer", "_is_chunked", "_partial", "_responses", "_rewrites", "_skip",
        "count", "head", "is_stream", "mark_s", "ordinal",
    )  # fmt: skip

    def __init__(self, *, responses: bool, rewrites: bool = False) -> None:
        self._responses = responses
        self._rewrites = rewrites
        self._framer: Framer | None = None
        self._skip = 0
        self._partial = b""
        self.is_stream = self._is_chunked = self._closes_anew = self._discarding = False
        self.count = 0
        """Events with data seen in this stream."""
        self.mark_s = 0.0
        """For the toxic: when something began in this message; 0 at each head."""
        self.head: Head | None = None
        self.ordinal = 0
        """Which message of the connection is being read."""

    # Joining and leaving.

    def join(self, stub: HttpStub) -> None:
        """Begin to read, if the tap is at a boundary now. Not to be called while data is being handed on."""
        tap = stub.tap
        if self._framer is not None or tap is None or not tap.is_synced:
            return
        leader = tap.responses if self._responses else tap.requests
        skip = stub.held_before()
        if leader.at_boundary and skip is not None:
            self._framer = leader.copy()
            self._skip = skip
            if leader.in_message and leader.head is not None:
                self._begin(leader.head, has_body=True)
            self.ordinal = leader.ordinal

    @property
    def is_clean(self) -> bool:
        """Whether the toxic can go now without leaving half a chunk or half a rewritten message behind."""
        framer = self._framer
        if framer is None or framer.is_broken:
            return True
        return framer.at_boundary and not (self._partial or self._discarding or self._closes_anew)

    @property
    def has_joined(self) -> bool:
        """Whether it reads already, or waits for a boundary."""
        return self._framer is not None

    # Reading.

    def read(self, data: bytes) -> Iterator[Unit]:
        """The units that end in this chunk."""
        if self._framer is None:
            yield Unit(Kind.RAW, data)
            return
        if self._skip:
            passed, data = data[: self._skip], data[self._skip :]
            self._skip -= len(passed)
            yield Unit(Kind.RAW, passed)
        for piece in self._framer.feed(data):
            if self._discarding and piece.part is not Part.BROKEN:
                self._discarding = piece.part is not Part.END
                continue
            yield from self._units(piece)

    def rest(self) -> bytes:
        """What is kept of an unfinished part, as it goes on the wire when the stream ends here."""
        rest = self._framer.rest() if self._framer is not None else b""
        partial, self._partial = self._partial, b""
        return (self._chunk(partial) if partial else b"") + rest

    def discard(self) -> None:
        """Swallow what is left of this message: its end has been written already."""
        self._discarding = True
        self._partial = b""

    # Writing.

    def wire(self, unit: Unit) -> bytes:
        """A unit as it goes on the wire."""
        if unit.kind is Kind.EVENT or unit.kind is Kind.BODY:
            return self._chunk(unit.data)
        if unit.kind is Kind.END:
            return b"0\r\n" + unit.data + b"\r\n" if self._is_chunked else b""
        return unit.data

    def event(self, data: bytes) -> bytes:
        """An event that a toxic made, as it goes on the wire."""
        return self._chunk(data)

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body being read ends only when the connection does."""
        return self._framer is not None and self._framer.ends_with_connection

    def _chunk(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked and data else data

    def _units(self, piece: Piece) -> Iterator[Unit]:
        if piece.part is Part.BODY:
            if self.is_stream:
                yield from self._events(piece.data)
            else:
                yield Unit(Kind.BODY, piece.data)
        elif piece.part is Part.HEAD:
            assert piece.head is not None
            self.head, self.ordinal = piece.head, piece.ordinal
            self._begin(piece.head, piece.has_body)
            yield Unit(Kind.HEAD, self._new_head(piece.data) if self._closes_anew else piece.data)
        elif piece.part is Part.END:
            partial, self._partial = self._partial, b""
            if partial:
                yield Unit(Kind.BODY, partial)
            yield Unit(Kind.END, piece.data)
            self._closes_anew = False
        else:
            self._discarding = False
            yield Unit(Kind.RAW, piece.data)

    def _begin(self, head: Head, has_body: bool) -> None:
        self.count, self.mark_s = 0, 0.0
        content_type = head.fields.get("content-type", "") if self._responses else ""
        encoding = head.fields.get("content-encoding", "identity")
        self.is_stream = content_type.startswith("text/event-stream") and encoding == "identity"
        self._is_chunked = has_body and head.is_chunked
        has_length = not head.is_chunked and head.content_length is not None
        self._closes_anew = (
            self._rewrites and self.is_stream and has_body and has_length and head.first[0] == "HTTP/1.1"
        )
        if self._closes_anew:
            self._is_chunked = True

    def _new_head(self, raw: bytes) -> bytes:
        """The head of a stream of known length, made chunked: a toxic may change the length."""
        lines = [line for line in raw.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
        return b"\r\n".join([*lines[:-2], b"transfer-encoding: chunked", b"", b""])

    def _events(self, data: bytes) -> Iterator[Unit]:
        whole, self._partial = events.split(self._partial + data if self._partial else data)
        for event in whole:
            if self._discarding:
                return
            if events.has_data(event) and not events.is_done(event):
                self.count += 1
                yield Unit(Kind.EVENT, event, self.count)
            else:
                yield Unit(Kind.EVENT, event)
        if len(self._partial) > events.EVENT_BYTES_MAX:
            partial, self._partial = self._partial, b""
            yield Unit(Kind.BODY, partial)
