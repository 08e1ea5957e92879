"""One HTTP/1.1 connection of the client: an `asyncio.Protocol` on httptools, one exchange at a time.

    transport -> Connection.data_received -> httptools -> on_body -> the sink that Exchange.head named -> Exchange.ended

A stream reader of asyncio would cost a task switch a read; here a token costs one call chain.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol, TypeAlias, cast

import httptools

from servedrill.host.addresses import join_host_port
from servedrill.host.clock import now_ns
from servedrill.load.answer import AnswerTooLongError, Ending

_FRAMING_BYTES_MAX, _FRAMING_EACH = 256 << 10, 16
"""Of what comes around a body (heads, trailers, sizes and extensions of chunks): so much, and so much for each of its
bytes. Chunks of one byte have five."""
_CLOSED_OR_READABLE = select.POLLIN | select.POLLRDHUP


Sink: TypeAlias = Callable[[bytes, int], None]
"""Takes bytes of a response's body and the instant at which they were read."""


class Exchange(Protocol):
    """Who a connection reports to while it carries a request."""

    def head(self, status: int, headers: dict[bytes, bytes]) -> Sink:
        """The response's status line and headers are in; says who takes its body."""
        ...

    def ended(self, ending: Ending) -> None:
        """The response is whole, or the connection is gone; nothing follows."""


class Connection(asyncio.Protocol):
    """A connection to the stack; ``address`` is the ``ip:port`` at its other end."""

    __slots__ = (
        "_body_bytes",
        "_bytes_per_s",
        "_came_bytes",
        "_complete",
        "_exchange",
        "_headers",
        "_keep",
        "_loop",
        "_parser",
        "_paused",
        "_poll",
        "_sink",
        "_status",
        "_transport",
        "_until_eof",
        "address",
        "closed",
        "heard_ns",
        "loss",
        "met",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, *, bytes_per_s: float | None = None) -> None:
        self.address = ""
        self.closed = False
        self.heard_ns = 0
        """When the last bytes came; 0 before the first of the current exchange."""
        self.loss: Ending = "eof"
        """How the connection went, once it is closed by the peer."""
        self.met = ""
        """The bound that more came than; empty where none was met."""
        self._loop = loop
        self._bytes_per_s = bytes_per_s
        self._exchange: Exchange | None = None
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._paused = False
        self._headers: dict[bytes, bytes] = {}
        self._sink: Sink = _nowhere
        self._reset()

    # -- for the client

    def request(self, exchange: Exchange, data: bytes) -> None:
        """Write a request; its response goes to ``exchange``."""
        assert self._transport is not None
        self._exchange = exchange
        self.heard_ns = 0
        self._reset()
        self._transport.write(data)

    def usable(self) -> bool:
        """Whether the peer has left the idle connection open and has said nothing on it, as far as the kernel knows.

        A peer that closes between this look and the write is the race that users of keep-alive see; it is not hidden.
        """
        if self.closed or self._transport is None or self._transport.is_closing():
            return False
        return not self._poll.poll(0)

    def reusable(self) -> bool:
        """Whether the exchange that just ended leaves the connection fit for another one."""
        return self._keep and not self.closed and self._bytes_per_s is None

    def quiet_since_ns(self) -> int:
        """When the last bytes came; now, while this side is the one that does not read."""
        return now_ns() if self._paused else self.heard_ns

    def abort(self) -> None:
        """Close the socket at once; whoever listened hears nothing more."""
        self._exchange = None
        self._sink = _nowhere
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    # -- for the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the address, and begin to parse."""
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's own class, not a subclass
        peer = transport.get_extra_info("peername")
        if peer is None:  # it was accepted and reset before anybody could ask who it was
            self.loss = "reset"
            self.abort()
            return
        self.address = join_host_port(*peer[:2])
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), _CLOSED_OR_READABLE)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls back for head and body."""
        exchange = self._exchange
        if exchange is None or self._parser is None:  # an answer to no question
            self.abort()
            return
        self.heard_ns = monotonic_ns()
        self._came_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end("bad_http")
            return
        except httptools.HttpParserError as error:
            ours = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
            if ours is not None and not isinstance(ours, AnswerTooLongError):
                raise ours from None  # a mistake of ours, not of the peer
            self._end("complete" if self._complete else "bad_http")
            return
        if self._complete:
            self._end("complete")
        elif self._came_bytes > _FRAMING_BYTES_MAX + (1 + _FRAMING_EACH) * self._body_bytes:
            self.met = "more around the body than any server sends: a head, trailers, extensions of chunks"
            self._end("bad_http")
        elif self._bytes_per_s is not None and not self.closed:
            self._rest(len(data) / self._bytes_per_s)

    def eof_received(self) -> bool:
        """The peer will send no more."""
        return False  # close our half as well

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange how the connection went."""
        self.closed = True
        self._transport = self._parser = None
        if isinstance(exc, OSError) and not isinstance(exc, ssl.SSLError):
            self.loss = "reset"
        if self._exchange is not None:
            self._end("complete" if self._until_eof and self.loss == "eof" else self.loss)

    # -- for the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field; the last of a name counts."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Read what the head says about the rest, and hand it to the exchange."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200:  # an interim response, such as 103 Early Hints
            return
        headers, self._status = self._headers, status
        wish = headers.get(b"connection", b"").lower()
        self._keep = wish != b"close" if self._parser.get_http_version() == "1.1" else wish == b"keep-alive"
        bare = status in (204, 304)
        self._until_eof = not bare and b"content-length" not in headers and b"transfer-encoding" not in headers
        if self._exchange is not None:
            self._sink = self._exchange.head(status, headers)

    def on_body(self, body: bytes) -> None:
        """Part of the body, to whoever the exchange named."""
        self._body_bytes += len(body)
        self._sink(body, self.heard_ns)

    def on_message_begin(self) -> None:
        """Another message on this connection."""
        if self._complete:  # more bytes than the response had room for
            self._keep = False

    def on_message_complete(self) -> None:
        """The response is whole, unless it was an interim one."""
        if self._status:
            self._complete = True
        self._headers = {}

    # -- inside

    def _reset(self) -> None:
        self._headers = {}
        self._status = self._came_bytes = self._body_bytes = 0
        self._sink = _nowhere
        self._complete = self._until_eof = self._keep = False

    def _end(self, ending: Ending) -> None:
        exchange, self._exchange = self._exchange, None
        self._sink = _nowhere
        if ending != "complete" or self._until_eof:
            self._keep = False
        if exchange is not None:
            exchange.ended(ending)

    def _rest(self, pause_s: float) -> None:
        """Leave the socket unread for a while: the kernel's buffers fill and the peer feels it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.pause_reading()
        self._paused = True
        self._loop.call_later(pause_s, self._resume)

    def _resume(self) -> None:
        self._paused = False
        if not self.closed and self._transport is not None and not self._transport.is_closing():
            self.heard_ns = now_ns()
            self._transport.resume_reading()


def _nowhere(body: bytes, t_ns: int) -> None:
    pass
