"""The server process: binds the control port, loads the configuration, runs until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

import servedrill.toxiproxy.toxics  # noqa: F401  # registers every toxic
from servedrill.errors import UsageError
from servedrill.files.regular import read_regular
from servedrill.files.whole import write_whole
from servedrill.toxiproxy import addresses, decode
from servedrill.toxiproxy.api import VERSION, Api
from servedrill.toxiproxy.collection import Collection
from servedrill.toxiproxy.errors import ApiError

_CONFIG_BYTES_MAX = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says."""

    host: str
    port: int
    config: Path | None
    seed: int
    api_version: str = VERSION
    metrics: bool
    port_file: Path | None
    known_hosts: tuple[str, ...] = ()
    """Names, besides ``host``, localhost and addresses, by which clients reach the control API."""
    patience_s: float = 15.0
    """For a client's whole request, from its connection on: as the original has it."""
    idle_s: float = 60.0
    """Between two requests of a connection, and for the head of the second: the same."""


async def serve(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM; raises `UsageError` where it cannot begin."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    proxies = _read(settings.config)
    collection = Collection(settings.seed)
    try:
        sock = addresses.bind(await addresses.resolve(f"[{settings.host}]:{settings.port}"))
    except addresses.ListenError as problem:
        raise UsageError(str(problem), hint="choose another --port, or 0 for a free one") from None
    await _populate(collection, proxies, where=str(settings.config))
    known = (settings.host.lower(), *settings.known_hosts)
    api = Api(
        collection,
        metrics_on=settings.metrics,
        version=settings.api_version,
        known_hosts=known,
        patience_s=settings.patience_s,
    )
    server = web.Server(api.handle, access_log=None, keepalive_timeout=settings.idle_s)

    def connected() -> asyncio.Protocol:
        connection = server()
        api.expect(connection)
        loop.call_later(settings.patience_s, api.give_up, connection)
        return connection

    listener = await loop.create_server(connected, sock=sock, backlog=1024)
    host, port = sock.getsockname()[:2]
    address = addresses.Address(host, port)
    following = loop.create_task(collection.follow_upstreams())
    try:
        _announce(address, settings)
        await stop.wait()
    finally:
        following.cancel()
        listener.close()
        collection.close()
        await server.shutdown(timeout=1.0)


def _announce(address: addresses.Address, settings: Settings) -> None:
    reach = "this machine only" if address.is_loopback else "EVERY MACHINE that reaches this port can inject faults"
    if settings.port_file is not None:
        write_whole(settings.port_file, f"{address.port}\n".encode())
    print(f"toxiproxy: control API on {address} ({reach}), seed {settings.seed}", file=sys.stderr, flush=True)


def _read(config: Path | None) -> list[decode.ProxyInput]:
    if config is None:
        return []
    try:
        content = read_regular(config, bytes_max=_CONFIG_BYTES_MAX)
        return [decode.proxy_input(item) for item in decode.as_list(decode.parse(content), "a list of proxies")]
    except OSError as problem:
        raise UsageError(problem.strerror or str(problem), where=str(config)) from None
    except decode.BadBody as problem:
        raise UsageError(str(problem), where=str(config), expected="what POST /populate takes") from None


async def _populate(collection: Collection, proxies: list[decode.ProxyInput], *, where: str) -> None:
    try:
        _, error = await collection.populate(proxies)
    except ApiError as problem:
        raise UsageError(problem.message, where=where) from None
    if error is not None:
        raise UsageError(error.message, where=where)
