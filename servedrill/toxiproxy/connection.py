"""One connection through a proxy: a client side, an upstream side, and a link for each direction between them.

Both sides are protocols of the event loop, so a connection costs no task; only dialling the upstream does, for as long
as it takes. What one side does is done to the other: a half-close stays a half-close, a reset stays a reset.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from servedrill.toxiproxy.addresses import split_host_port
from servedrill.toxiproxy.exchanges import ExchangeLog
from servedrill.toxiproxy.link import Link
from servedrill.toxiproxy.side import Side
from servedrill.toxiproxy.tap import Answer, Tap, Turn
from servedrill.toxiproxy.toxic import Mark

DIAL_S_MAX = 10.0
REFUSE_S = 0.02


class Owner(Protocol):
    """The proxy, as its connections see it."""

    upstream: str
    exchanges: ExchangeLog | None
    refused: int

    def admit(self, connection: Connection) -> bool:
        """Take a connection in and number it; false while the proxy is down."""

    def equip(self, connection: Connection) -> None:
        """The upstream is connected: tap and toxics begin."""

    def forget(self, connection: Connection) -> None:
        """The connection is over."""

    def look(self) -> None:
        """The upstream may be gone."""


class Connection:
    """A client, its upstream, and what flows between them."""

    __slots__ = (
        "_dialling", "blamed", "client", "closing", "down", "loop", "number", "proxy", "ready", "refusing",
        "tap", "up", "upstream",
    )  # fmt: skip

    def __init__(self, proxy: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.proxy = proxy
        self.loop = loop
        self.number = 0
        self.ready = False
        self.closing = False
        self.blamed = False
        self.refusing = False
        self.tap: Tap | None = None
        self._dialling: asyncio.Task[None] | None = None
        self.client = Side(self, is_client=True)
        self.upstream = Side(self, is_client=False)
        self.up = Link(self, "upstream", self.client, self.upstream)
        self.down = Link(self, "downstream", self.upstream, self.client)
        self.client.link = self.upstream.fed_by = self.up
        self.upstream.link = self.client.fed_by = self.down

    def link(self, direction: str) -> Link:
        """The link that goes `upstream` or `downstream`."""
        return self.up if direction == "upstream" else self.down

    def client_made(self) -> None:
        """The client was accepted: dial the upstream."""
        if self.proxy.admit(self):
            self._dialling = self.loop.create_task(self._dial())
        else:
            self.reset()

    async def _dial(self) -> None:
        try:
            host, port = split_host_port(self.proxy.upstream)
            async with asyncio.timeout(DIAL_S_MAX):
                await self.loop.create_connection(lambda: self.upstream, host or "127.0.0.1", port)
        except (OSError, ValueError):  # TimeoutError is an OSError
            self._refuse()
        else:
            self._connected()
        finally:
            self._dialling = None

    def _refuse(self) -> None:
        """No upstream: a reset, as soon as the client says something, or after a moment.

        The moment lets the client's connect() return first. It could fail with the reset otherwise, as it never does
        where a server listens.
        """
        self.proxy.refused += 1
        self.proxy.look()
        self.refusing = True
        self.early()
        if not self.closing:
            self.loop.call_later(REFUSE_S, self.reset)

    def early(self) -> None:
        """The client said something, or left, before there was an upstream."""
        if self.refusing and self.client.has_early and not self.closing:
            self.reset()

    def _connected(self) -> None:
        if self.closing or self.client.is_gone:
            self.reset()
            return
        self.ready = True
        self.proxy.equip(self)
        self.client.catch_up()
        self.upstream.catch_up()

    # Reading along.

    def read_along(self, *, live: bool = True) -> None:
        """Have a tap, if there is none yet."""
        if self.tap is None:
            self.tap = Tap(self.proxy.exchanges, self.number, live=live and self.ready, on_sync=self._join_views)

    def _join_views(self) -> None:
        self.up.join_views()
        self.down.join_views()

    def answer(self, ordinal: int, answer: Answer, status: int, retry_after_s: float | None) -> None:
        """A toxic answers a request in place of the upstream."""
        assert self.tap is not None
        self._send(self.tap.answered(ordinal, answer, status, retry_after_s))

    def merge(self, data: bytes, turns: list[Turn]) -> None:
        """Put answers that waited between the responses of the upstream, in the order of the requests."""
        at = 0
        for turn in turns:
            self.down.feed(data[at : turn.at])
            at = turn.at
            self._send(turn.answers)
        if at < len(data):
            self.down.feed(data[at:])

    def _send(self, answers: list[Answer]) -> None:
        for answer in answers:
            self.down.feed(answer.data)
            if answer.closes:
                self.blame_toxic()
                self.down.feed_mark(Mark.CUT)

    # Ends.

    def side_ended(self, side: Side) -> None:
        """One side will send no more: the tap notes it."""
        if not side.is_client:
            self.proxy.look()
        if self.tap is not None:
            self.tap.ended(by_client=side.is_client, reset=False)

    def side_lost(self, side: Side) -> None:
        """A socket is gone: end the other one in the same way, behind what is on its way there."""
        if not side.is_client:
            self.proxy.look()  # before its client hears of it and comes again
        if self.ready and not self.closing:
            if self.tap is not None:
                self.tap.ended(by_client=side.is_client, reset=side.was_reset, gone=True)
            side.fed_by.abandon()
            if side.link.finished:
                self._pass_close(side)
            else:
                side.lost_end()
            side.fed_by.flow()
        elif not self.closing:
            self.reset()
        if self.client.is_gone and (self.upstream.is_gone or self.upstream.transport is None):
            self._forget()

    def link_finished(self, link: Link, mark: Mark) -> None:
        """A stream's end came out of a link: pass it on, and close when both directions are over."""
        source = self.client if link is self.up else self.upstream
        if mark is Mark.CUT:
            self.close()
        elif source.is_gone:
            self._pass_close(source)
        else:
            self._other(source).half_close()
            if self.up.finished and self.down.finished:
                self.close()

    def _other(self, side: Side) -> Side:
        return self.upstream if side is self.client else self.client

    def _pass_close(self, gone: Side) -> None:
        other = self._other(gone)
        if gone.was_reset:
            other.close_with_reset()
        else:
            other.close()

    def close(self) -> None:
        """FIN to both sides behind what was written to them; what stubs hold is lost."""
        self._stop()
        self.client.close()
        self.upstream.close()

    def reset(self) -> None:
        """RST to both sides."""
        self._stop()
        self.client.reset()
        self.upstream.reset()

    def blame_toxic(self) -> None:
        """What happens to this connection from now on is our doing."""
        if not self.blamed:
            self.blamed = True
            if self.tap is not None:
                self.tap.toxic_ended()

    def _stop(self) -> None:
        self.closing = True
        if self._dialling is not None and self._dialling is not asyncio.current_task(self.loop):
            self._dialling.cancel()
        self.up.abandon()
        self.down.abandon()

    def _forget(self) -> None:
        self.up.abandon()
        self.down.abandon()
        if self.tap is not None:
            self.tap.close()
        self.proxy.forget(self)
