"""Connections to the stack: as many as there are requests in flight, the most recently used one first.

There is no cap and so nothing ever waits for a connection: a client that queues inside itself would report its own
queue as the stack's latency. Idle connections are kept as long as the stack keeps them: how it closes them is drilled
too.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from urllib.parse import urlsplit

from servedrill.errors import UsageError
from servedrill.host.addresses import join_host_port
from servedrill.load.addresses import Addresses
from servedrill.load.plan import Target
from servedrill.load.protocol import Connection
from servedrill.secrecy.known import secret_in

_SLOW_READER_BUFFER_BYTES = 4096


class Pool:
    """Opens, lends and takes back connections to one target."""

    def __init__(self, target: Target, addresses: Addresses, loop: asyncio.AbstractEventLoop) -> None:
        url = urlsplit(target.base_url)
        self._loop, self._addresses = loop, addresses
        self._name = url.hostname or ""
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._tls = _tls(target) if url.scheme == "https" else None
        self._idle: list[Connection] = []
        self.opened = 0
        self.reused = 0

    @property
    def unresolved(self) -> str:
        """``name:port``, for a try that never got as far as an address."""
        return self.at(self._name)

    def at(self, host: str) -> str:
        """``ip:port`` of a try at ``host``."""
        return join_host_port(host, self._port)

    @property
    def idle(self) -> int:
        """Connections that are kept for later, those that the peer has closed meanwhile left out."""
        return sum(not connection.closed for connection in self._idle)

    def take(self) -> Connection | None:
        """An idle connection that the peer has not closed; None when a new one has to be opened."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable():
                self.reused += 1
                return connection
            connection.abort()
        return None

    def give(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._idle.append(connection)

    async def pick(self) -> str:
        """The address that a new connection goes to; raises `OSError` when the name has none."""
        return await self._addresses.pick()

    async def connect(self, host: str, *, bytes_per_s: float | None = None) -> Connection:
        """A new connection; raises `OSError` (`ssl.SSLError` included) when there is none to be had."""
        self.opened += 1
        options: dict[str, object] = {"ssl": self._tls, "server_hostname": self._name} if self._tls else {}

        def protocol() -> Connection:
            return Connection(self._loop, bytes_per_s=bytes_per_s)

        if bytes_per_s is None:
            _, connection = await self._loop.create_connection(protocol, host, self._port, **options)  # type: ignore[call-overload]
        else:
            sock = await self._small_socket(host)
            _, connection = await self._loop.create_connection(protocol, sock=sock, **options)  # type: ignore[call-overload]
        assert isinstance(connection, Connection)
        return connection

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().abort()

    async def _small_socket(self, host: str) -> socket.socket:
        """A connected socket whose window stays small: with megabytes of it, a slow reader is not slow to its peer."""
        family, kind, number, _, address = (await self._loop.getaddrinfo(host, self._port, type=socket.SOCK_STREAM))[0]
        sock = socket.socket(family, kind, number)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_READER_BUFFER_BYTES)
            sock.setblocking(False)
            await self._loop.sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        return sock


def _tls(target: Target) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=target.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"cannot be used: {error}", where=target.ca_file or "TLS", expected="CA certificates as PEM"
        ) from error


def api_key(target: Target) -> str | None:
    """The bearer token, from the environment."""
    return secret_in(target.api_key_env)
