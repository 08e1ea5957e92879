"""Server-sent events, cut out of bytes that may be split anywhere.

The data of an event is final at the blank line that ends it; what the stream leaves behind without one is no event (so
the WHATWG text has it), which is how a cut stream is told from a whole one.

The embedded stack has an `EventSplitter` of its own: programs that judge each other share no code.
"""

from __future__ import annotations

_EVENT_BYTES_MAX = 1 << 20


class EventTooLongError(ValueError):
    """More than 1 MiB came without a blank line: this is no event stream."""


class EventSplitter:
    """Gives the data of each whole event, whatever the borders of the reads, line ends and comments."""

    __slots__ = ("_after_cr", "_begun", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()
        self._after_cr = False
        self._begun = False

    @property
    def between_events(self) -> bool:
        """Whether whatever comes next begins an event or a comment: nothing is kept, not even half a line end."""
        return self._begun and not self._tail and not self._after_cr

    def feed(self, body: bytes) -> list[bytes]:
        """The data of the events that ``body`` completes, in order."""
        if self._after_cr or b"\r" in body:
            body = self._plain_newlines(body)
        tail = self._tail
        if tail:
            seen = len(tail) - 1
            tail += body
            if self._begun and tail.find(b"\n\n", seen) < 0:  # what was looked at is not looked at again
                if len(tail) > _EVENT_BYTES_MAX:
                    tail.clear()
                    raise EventTooLongError
                return []
            body = bytes(tail)
        if not self._begun:
            if b"\xef\xbb\xbf".startswith(body):  # perhaps the first bytes of a byte order mark
                self._tail = bytearray(body)
                return []
            self._begun, body = True, body.removeprefix(b"\xef\xbb\xbf")
        blocks = body.split(b"\n\n")
        self._tail = bytearray(blocks.pop())
        if len(self._tail) > _EVENT_BYTES_MAX:
            self._tail.clear()
            raise EventTooLongError
        return [found for block in blocks if (found := _data_of(block)) is not None]

    def _plain_newlines(self, body: bytes) -> bytes:
        if self._after_cr and body.startswith(b"\n"):  # the second half of a CR LF whose CR was a line end already
            body = body[1:]
            self._after_cr = False
        if body:
            self._after_cr = body.endswith(b"\r")
        return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data_of(block: bytes) -> bytes | None:
    """The data lines of one event, joined; None when it has none (comments, retry, id)."""
    lines = []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines) if lines else None
