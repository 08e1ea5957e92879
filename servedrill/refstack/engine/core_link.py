"""The API server's end of the core: sends messages, gets steps, notices silence and death."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import msgspec

from servedrill.refstack.engine import messages as m

PING_EVERY_S = 0.2


class CoreLink(asyncio.Protocol):
    """One core process."""

    def __init__(
        self, *, on_step: Callable[[m.Step], None], on_ready: Callable[[m.Ready], None], on_death: Callable[[], None]
    ) -> None:
        self._on_step, self._on_ready, self._on_death = on_step, on_ready, on_death
        self._unpacker = m.Unpacker()
        self._decoder = msgspec.msgpack.Decoder(m.FromCore)
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: list[asyncio.Future[m.Done]] = []
        self._pings = 0
        self._heard = time.monotonic()
        self.alive = True

    @classmethod
    async def connect(cls, sock: socket.socket, **callbacks: Callable[..., None]) -> CoreLink:
        """A link over one end of a socket pair; the pings begin."""
        sock.setblocking(False)
        _, link = await asyncio.get_running_loop().create_connection(lambda: cls(**callbacks), sock=sock)
        link.ping()
        return link

    @property
    def silent_s(self) -> float:
        """Seconds since the core last said anything, while it was asked to."""
        return time.monotonic() - self._heard

    def send(self, message: m.ToCore) -> None:
        """Dropped where the core is gone."""
        if self._transport is not None and self.alive:
            self._transport.write(m.pack(message))

    async def control(self, message: m.ToCore) -> m.Done:
        """Send a control message and wait for its answer. Raises `ConnectionError` when the core is gone."""
        if not self.alive:
            raise ConnectionError("the core is gone")
        answer: asyncio.Future[m.Done] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self.send(message)
        return await answer

    def ping(self) -> None:
        """Ask for a sign of life, again and again."""
        if self.alive:
            self._pings += 1
            self.send(m.Ping(number=self._pings))
            asyncio.get_running_loop().call_later(PING_EVERY_S, self.ping)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: the socket is ours."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """asyncio's: hand every whole message to whom it concerns."""
        self._heard = time.monotonic()
        for body in self._unpacker.feed(data):
            match self._decoder.decode(body):
                case m.Step() as step:
                    self._on_step(step)
                case m.Ready() as ready:
                    self._on_ready(ready)
                case m.Done() as done if self._waiting:
                    self._waiting.pop(0).set_result(done)
                case _:
                    pass

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: the core is gone; whoever waits for an answer gets `ConnectionError`."""
        self.alive = False
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(ConnectionError("the core is gone"))
        self._waiting.clear()
        self._on_death()
