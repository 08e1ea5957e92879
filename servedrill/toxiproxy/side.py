"""One of the two sockets of a connection: reads into a link, is written to by the other, and ends as it is told.

The path of a plain link is here and short: data that arrives is written to the other side in the same call.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Protocol, cast

from servedrill.toxiproxy.link import Link
from servedrill.toxiproxy.tap import Tap, Turn
from servedrill.toxiproxy.toxic import Mark

CLOSE_S_MAX = 5.0
WRITE_BUFFER_BYTES = 256 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)


class Owner(Protocol):
    """The connection, as its sides see it."""

    loop: asyncio.AbstractEventLoop
    ready: bool
    closing: bool
    tap: Tap | None

    def client_made(self) -> None:
        """The client's socket is open."""

    def early(self) -> None:
        """The client said something, or left, before there was an upstream."""

    def merge(self, data: bytes, turns: list[Turn]) -> None:
        """Pass on what the upstream sent, with the answers of toxics at their places in it."""

    def side_ended(self, side: Side) -> None:
        """A side will send no more."""

    def side_lost(self, side: Side) -> None:
        """A side's socket is gone."""


class Side(asyncio.Protocol):
    """One of the two sockets of a connection."""

    def __init__(self, connection: Owner, *, is_client: bool) -> None:
        self.connection = connection
        self.is_client = is_client
        self.is_open = False
        self.is_gone = False
        self.was_reset = False
        self.ended = False
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.link: Link = cast("Link", None)
        self.fed_by: Link = cast("Link", None)
        self._early: list[bytes] = []
        self._held = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.is_open = True
        if self.is_client:
            self.connection.client_made()
        elif self.connection.closing:
            self.reset()

    def data_received(self, data: bytes) -> None:
        """Pass a chunk on, past the tap; kept while there is no upstream yet."""
        link = self.link
        link.received += len(data)
        connection = self.connection
        if not connection.ready:
            if not connection.closing:
                self._early.append(data)
                self.hold_reading(True)
                connection.early()
            return
        tap = connection.tap
        if tap is not None:
            if self.is_client:
                tap.from_client(data)
            else:
                turns = tap.from_upstream(data)
                if turns:
                    connection.merge(data, turns)
                    return
        if not link.stubs:
            sink = link.sink
            if sink.is_open and not link.finished:
                link.sent += len(data)
                sink.transport.write(data)
        else:
            link.feed(data)

    def eof_received(self) -> bool:
        """The peer will send no more; true keeps the other direction open."""
        if self.connection.ready:
            self._end()
        else:
            self.ended = True
            self.connection.early()
        return True

    def connection_lost(self, problem: Exception | None) -> None:
        """The socket is gone, with a reset where there was a problem."""
        self.is_open = False
        self.is_gone = True
        self.was_reset = problem is not None
        self.connection.side_lost(self)

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self.fed_by.sink_full(True)

    def resume_writing(self) -> None:
        """The socket takes data again."""
        self.fed_by.sink_full(False)

    # What the connection and the links use.

    @property
    def has_early(self) -> bool:
        """Whether anything came before the upstream was connected."""
        return bool(self._early) or self.ended

    def catch_up(self) -> None:
        """Hand over what arrived while the upstream was being dialled."""
        early, self._early = self._early, []
        for data in early:
            self.link.received -= len(data)
            self.data_received(data)
        if self.ended:
            self.ended = False
            self._end()
        self.link.flow()

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self.connection.side_ended(self)
            self.link.feed_mark(Mark.EOF)

    def lost_end(self) -> None:
        """The socket is gone: the end of the stream, if it has not been seen yet."""
        if not self.ended:
            self.ended = True
            self.link.feed_mark(Mark.EOF)

    def hold_reading(self, hold: bool) -> None:
        """Stop reading, or go on: the peer feels it."""
        if self.is_open and hold != self._held:
            self._held = hold
            if hold:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def half_close(self) -> None:
        """FIN behind what was written; reading goes on."""
        if self.is_open:
            self.transport.write_eof()

    def close(self) -> None:
        """FIN behind what was written; an end that will not read has a few seconds to take it."""
        if self.is_open:
            self.is_open = False
            if self.transport.get_write_buffer_size():
                self.connection.loop.call_later(CLOSE_S_MAX, self.transport.abort)
            self.transport.close()

    def close_with_reset(self) -> None:
        """RST behind what was written."""
        if self.is_open:
            self._no_linger()
            self.close()

    def reset(self) -> None:
        """RST now; what was not sent yet is lost."""
        if self.transport is not None and not self.is_gone:
            self.is_open = False
            self._no_linger()
            self.transport.abort()

    def _no_linger(self) -> None:
        sock = cast("socket.socket", self.transport.get_extra_info("socket"))
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        except OSError:
            pass  # The other end was faster: the socket is closed already.
