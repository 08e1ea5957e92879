"""HTTP/1.1 framing: only what it takes to find the boundaries of messages.

It is written by hand because a toxic that joins in the middle of a stream needs a copy of the framer, and because a
proxy has to pass on what it read. Parsers made for servers allow neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

HEAD_BYTES_MAX = 128 * 1024
LINE_BYTES_MAX = 16 * 1024
_REQUEST_LINE = re.compile(rb"(GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|TRACE|CONNECT) [^ \r\n]+ HTTP/1\.[01]\r\n")
_METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"TRACE ", b"CONNECT ")


class NotHttp(Exception):
    """These bytes are not HTTP/1.1."""


class Part(Enum):
    """What a piece of the stream is."""

    HEAD = auto()
    BODY = auto()
    END = auto()
    BROKEN = auto()


class Head(NamedTuple):
    """A start line and its header fields, names in lower case."""

    first: tuple[str, str, str]
    fields: dict[str, str]

    @property
    def status(self) -> int:
        """The status code of a response."""
        return int(self.first[1])

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.fields.get("transfer-encoding", "").lower().endswith("chunked")

    @property
    def content_length(self) -> int | None:
        """The length of the body in bytes, None where none is given; raises `NotHttp`."""
        text = self.fields.get("content-length")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise NotHttp(f"content-length {text!r}")
        return int(text)


class Piece(NamedTuple):
    """A head with its blank line, a run of body bytes without framing, the end of a message with its trailers, or all
    that is left when the stream turned out not to be HTTP/1.1.

    `at` is the offset behind it in the chunk that was fed, `ordinal` says which message it belongs to.
    """

    part: Part
    data: bytes
    at: int
    ordinal: int
    head: Head | None = None
    has_body: bool = False


def parse_head(raw: bytes) -> Head:
    """Read a head that ends in its blank line; raises `NotHttp`."""
    lines = raw.decode("latin-1").split("\r\n")
    first = lines[0].split(" ", 2)
    if len(first) == 2:
        first.append("")
    if len(first) != 3:
        raise NotHttp("start line")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        if not line:
            break
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise NotHttp("header field")
        name = name.lower()
        fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
    return Head((first[0], first[1], first[2]), fields)


def starts_request(data: bytes) -> bool:
    """Whether a chunk begins with a request line: where reading along may begin on a connection in use."""
    return _REQUEST_LINE.match(data) is not None


class _At(Enum):
    HEAD = auto()
    FIXED = auto()
    SIZE = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    UNTIL_CLOSE = auto()
    BROKEN = auto()


# The states that each event of a stream passes through: a global is found faster than a member of an enum.
_SIZE, _CHUNK, _CHUNK_END, _BODY = _At.SIZE, _At.CHUNK, _At.CHUNK_END, Part.BODY


class Framer:
    """Cuts one direction of a connection into pieces."""

    __slots__ = ("_at", "_buffer", "_is_bodiless", "_left", "_responses", "_trailer", "head", "ordinal")

    def __init__(self, *, responses: bool, is_bodiless: Callable[[int], bool] = lambda ordinal: False) -> None:
        self._responses = responses
        self._is_bodiless = is_bodiless
        self._at = _At.HEAD
        self._buffer = b""
        self._left = 0
        self._trailer = b""
        self.head: Head | None = None
        """The head of the message being read, or of the last one."""
        self.ordinal = 0
        """How many messages ended; interim responses do not count."""

    @property
    def at_boundary(self) -> bool:
        """Before a head or before a chunk, with nothing half read: where one reader can take over from another."""
        return not self._buffer and (self._at is _At.HEAD or self._at is _At.SIZE)

    @property
    def in_message(self) -> bool:
        """Whether a head was read whose message has not ended."""
        return self._at is not _At.HEAD and self._at is not _At.BROKEN

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body being read ends only when the connection does."""
        return self._at is _At.UNTIL_CLOSE

    @property
    def is_broken(self) -> bool:
        """Whether the stream turned out not to be HTTP/1.1."""
        return self._at is _At.BROKEN

    def copy(self) -> Framer:
        """Another framer at the same place of the stream."""
        twin = Framer(responses=self._responses)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    def rest(self) -> bytes:
        """What was read but not returned as a piece; it is given up."""
        rest, self._buffer = self._buffer, b""
        return rest

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that end in this chunk, in order. Never raises: what is not HTTP/1.1 is a piece that says so."""
        before = len(self._buffer)
        if before:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[Piece] = []
        at, size = 0, len(data)
        try:
            while at < size:
                state = self._at
                if state is _SIZE:
                    line_end = data.find(b"\r\n", at)
                    if line_end < 0:
                        self._wait(data, at, LINE_BYTES_MAX)
                        break
                    self._left = _chunk_size(data[at:line_end])
                    at = line_end + 2
                    self._at = _CHUNK if self._left else _At.TRAILER
                elif state is _CHUNK or state is _At.FIXED:
                    taken = min(self._left, size - at)
                    pieces.append(Piece(_BODY, data[at : at + taken], at + taken - before, self.ordinal))
                    at += taken
                    self._left -= taken
                    if not self._left:
                        if state is _CHUNK:
                            self._at = _CHUNK_END
                        else:
                            self._end(pieces, at - before)
                elif state is _CHUNK_END:
                    if size - at < 2:
                        self._wait(data, at, 2)
                        break
                    if data[at : at + 2] != b"\r\n":
                        raise NotHttp("chunk end")
                    at += 2
                    self._at = _SIZE
                elif state is _At.HEAD:
                    after = self._head(data, at, pieces, before)
                    if after == at:
                        break
                    at = after
                elif state is _At.TRAILER:
                    line_end = data.find(b"\r\n", at)
                    if line_end < 0:
                        self._wait(data, at, LINE_BYTES_MAX)
                        break
                    if line_end == at:
                        self._end(pieces, at + 2 - before)
                    else:
                        self._trailer += data[at : line_end + 2]
                    at = line_end + 2
                else:
                    part = Part.BODY if state is _At.UNTIL_CLOSE else Part.BROKEN
                    pieces.append(Piece(part, data[at:], size - before, self.ordinal))
                    break
        except NotHttp:
            self._at = _At.BROKEN
            pieces.append(Piece(Part.BROKEN, data[at:], size - before, self.ordinal))
        return pieces

    def _wait(self, data: bytes, at: int, bytes_max: int) -> None:
        if len(data) - at > bytes_max:
            raise NotHttp("line too long")
        self._buffer = data[at:]

    def _head(self, data: bytes, at: int, pieces: list[Piece], before: int) -> int:
        """Read a head; the offset behind it, or ``at`` where it is not complete."""
        start = at
        if self.ordinal:  # Blank lines are allowed between messages. Before the first they may be another protocol's.
            while data[start : start + 2] == b"\r\n":
                start += 2
            if data[start:] == b"\r":
                self._wait(data, at, HEAD_BYTES_MAX)
                return at
        if not self._is_plausible(data, start):
            raise NotHttp("start line")
        head_end = data.find(b"\r\n\r\n", start)
        if head_end < 0:
            self._wait(data, at, HEAD_BYTES_MAX)
            return at
        head = parse_head(data[start : head_end + 4])
        state, left = self._body_of(head)
        self.head = head
        raw, has_body = data[at : head_end + 4], state is not _At.HEAD
        pieces.append(Piece(Part.HEAD, raw, head_end + 4 - before, self.ordinal, head, has_body))
        self._at, self._left = state, left
        if not has_body and not (self._responses and head.status < 200):
            self._end(pieces, head_end + 4 - before)
        return head_end + 4

    def _is_plausible(self, data: bytes, start: int) -> bool:
        """Give up at once on what cannot become a head: other protocols must not wait for bytes that are kept here."""
        if self._responses:
            return b"HTTP/1.".startswith(data[start : start + 7])
        if data.find(b"\r\n", start) >= 0:
            return _REQUEST_LINE.match(data, start) is not None
        begin = data[start : start + 8]
        return any(begin.startswith(method) or method.startswith(begin) for method in _METHODS)

    def _body_of(self, head: Head) -> tuple[_At, int]:
        """Where the message goes on behind its head; `HEAD` where it has no body."""
        if self._responses:
            if not (len(head.first[1]) == 3 and head.first[1].isascii() and head.first[1].isdigit()):
                raise NotHttp("status")
            if head.status == 101:
                return _At.UNTIL_CLOSE, 0
            if head.status < 200 or head.status in (204, 304) or self._is_bodiless(self.ordinal):
                return _At.HEAD, 0
        if head.is_chunked:
            return _At.SIZE, 0
        length = head.content_length
        if length is None and self._responses:
            return _At.UNTIL_CLOSE, 0
        return (_At.FIXED, length) if length else (_At.HEAD, 0)

    def _end(self, pieces: list[Piece], at: int) -> None:
        pieces.append(Piece(Part.END, self._trailer, at, self.ordinal))
        self._trailer = b""
        self._at = _At.HEAD
        self.ordinal += 1


def _chunk_size(line: bytes) -> int:
    digits = line.split(b";", 1)[0].strip()
    if not (digits.isalnum() and len(digits) < 16):
        raise NotHttp("chunk size")
    try:
        return int(digits, 16)
    except ValueError:
        raise NotHttp("chunk size") from None
