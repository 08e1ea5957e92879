"""One proxy: a listener, the connections behind it, and its chain of toxics.

While a proxy is down its port stays bound without listening. Connections are refused, as they must be, and no other
program can be given the port in the meantime, so that coming back up cannot fail. A proxy that mirrors its upstream
does the same while nobody listens there, and keeps the connections that it has.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from servedrill.toxiproxy import addresses
from servedrill.toxiproxy.addresses import Address, ListenError
from servedrill.toxiproxy.chain import Chain, call_after
from servedrill.toxiproxy.connection import Connection
from servedrill.toxiproxy.evidence import Archive
from servedrill.toxiproxy.exchanges import ExchangeLog
from servedrill.toxiproxy.mirror import upstream_listens

BACKLOG = 4096


class Proxy:
    """A listener with its connections and toxics. `ttl_s` is in seconds, None for a proxy that stays."""

    def __init__(
        self, *, name: str, listen: str, upstream: str, tap: bool, seed: int, archive: Archive, mirror: bool = False
    ) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = False
        self.mirror = mirror
        self.ttl_s: float | None = None
        self.expiry: asyncio.TimerHandle | None = None
        self.accepted = 0
        self.refused = 0
        self.exchanges = ExchangeLog() if tap else None
        self.connections: dict[Connection, None] = {}
        self.chain = Chain(name, seed, archive, self.connections)
        self._server: asyncio.Server | None = None
        self._reserved: socket.socket | None = None
        self._totals: dict[tuple[str, str, str], list[int]] = {}
        """Bytes received and sent by direction, listener and upstream, of connections that are gone."""

    # Up and down.

    async def start(self) -> None:
        """Listen; raises `ListenError`."""
        if self.enabled:
            return
        sock, self._reserved = self._reserved, None
        if sock is None:
            sock = addresses.bind(await addresses.resolve(self.listen))
        host, port = sock.getsockname()[:2]
        if self.mirror and upstream_listens(self.upstream) is False:
            self._reserved = sock
        else:
            await self._listen_on(sock)
        self.listen = str(Address(host, port))
        self.enabled = True

    async def _listen_on(self, sock: socket.socket) -> None:
        host, port = sock.getsockname()[:2]
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Connection(self, loop).client, sock=sock, backlog=BACKLOG)
        except OSError as problem:
            sock.close()
            raise addresses.listen_error(Address(host, port), problem) from None

    async def follow(self) -> None:
        """Listen while the upstream does, where it is to be mirrored. Raises `ListenError`."""
        if not (self.mirror and self.enabled):
            return
        if self._server is not None:
            self.look()
        elif upstream_listens(self.upstream) is not False:
            if self._reserved is None:
                self._reserve()
            if self._reserved is not None:
                sock, self._reserved = self._reserved, None
                await self._listen_on(sock)

    def look(self) -> None:
        """Refuse connections from now on where the upstream is to be mirrored and nobody listens there."""
        if self.mirror and self._server is not None and upstream_listens(self.upstream) is False:
            self._server.close()
            self._server = None
            self._reserve()

    def stop(self, *, keep_port: bool) -> None:
        """Refuse connections and end the live ones with a FIN."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._reserved is not None and not keep_port:
            self._reserved.close()
            self._reserved = None
        if self.enabled and keep_port:
            self._reserve()
        self.enabled = False
        for connection in list(self.connections):
            connection.blame_toxic()
            connection.close()

    def _reserve(self) -> None:
        host, port = addresses.split_host_port(self.listen)
        try:
            self._reserved = addresses.bind(Address(host, port))
        except ListenError:
            self._reserved = None  # Somebody was faster; coming back up will say so.

    async def update(
        self,
        *,
        listen: str | None,
        upstream: str | None,
        enabled: bool | None,
        tap: bool | None,
        mirror: bool | None = None,
    ) -> None:
        """Change what is given; a changed address restarts the proxy. Raises `ListenError`."""
        was_enabled = self.enabled
        listen = self.listen if listen is None else listen
        upstream = self.upstream if upstream is None else upstream
        if tap is not None and tap != (self.exchanges is not None):
            self.exchanges = ExchangeLog() if tap else None
        if mirror is not None and mirror != self.mirror:
            self.mirror = mirror
            if was_enabled and self._server is None and self._reserved is not None:
                sock, self._reserved = self._reserved, None
                await self._listen_on(sock)
        if await self.differs(listen, upstream):
            self.stop(keep_port=self.listen == listen)
            self.listen, self.upstream = listen, upstream
        if was_enabled if enabled is None else enabled:
            await self.start()
        else:
            self.stop(keep_port=True)

    async def differs(self, listen: str, upstream: str) -> bool:
        """Whether these addresses are others than the ones in use."""
        return self.listen != str(await addresses.resolve(listen)) or self.upstream != upstream

    def remove(self, *, by: str) -> None:
        """Stop for good."""
        if self.expiry is not None:
            self.expiry.cancel()
        self.chain.clear(by=by)
        self.stop(keep_port=False)

    def live_for(self, ttl_s: float | None, expire: Any) -> None:
        """Count the time to live from now on; None or 0 means without end."""
        if self.expiry is not None:
            self.expiry.cancel()
        self.ttl_s = ttl_s or None
        self.expiry = call_after(self.ttl_s, expire)

    # Connections.

    def admit(self, connection: Connection) -> bool:
        """A client was accepted; false where the proxy went down meanwhile."""
        if not self.enabled:
            return False
        self.accepted += 1
        connection.number = self.accepted
        self.connections[connection] = None
        return True

    def equip(self, connection: Connection) -> None:
        """The upstream is connected: tap and toxics begin."""
        if self.exchanges is not None or self.chain.knows_http:
            connection.read_along(live=False)
        self.chain.equip(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is over: keep its byte counts."""
        if self.connections.pop(connection, self) is None:
            self._count(connection, self._totals)

    # Answers.

    def body(self) -> dict[str, Any]:
        """The proxy as the API answers it."""
        body: dict[str, Any] = {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled,
            "toxics": self.chain.bodies(),
        }
        if self.exchanges is not None:
            body["tap"] = True
        if self.mirror:
            body["mirror"] = True
        if self.ttl_s is not None:
            body["ttl"] = self.ttl_s
        return body

    def stats(self) -> dict[str, int]:
        """Live connections, and counts since the proxy was made."""
        totals = self.totals()
        up = sum(sent for (direction, _, _), (_, sent) in totals.items() if direction == "upstream")
        down = sum(sent for (direction, _, _), (_, sent) in totals.items() if direction == "downstream")
        return {
            "connections": len(self.connections),
            "accepted": self.accepted,
            "refused": self.refused,
            "bytes_up": up,
            "bytes_down": down,
        }

    def totals(self) -> dict[tuple[str, str, str], list[int]]:
        """Bytes received and sent by direction, listener and upstream, live connections included."""
        totals = {key: list(counts) for key, counts in self._totals.items()}
        for connection in self.connections:
            self._count(connection, totals)
        return totals

    def _count(self, connection: Connection, totals: dict[tuple[str, str, str], list[int]]) -> None:
        for link in (connection.up, connection.down):
            if link.received or link.sent:
                counts = totals.setdefault((link.direction, self.listen, self.upstream), [0, 0])
                counts[0] += link.received
                counts[1] += link.sent
