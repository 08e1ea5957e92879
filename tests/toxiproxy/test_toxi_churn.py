"""Thousands of connections come and go at random while toxics do: nothing is left of them."""

from __future__ import annotations

import asyncio
import gc
import random
import time
import weakref
from typing import Any, cast

import pytest
import uvloop

from servedrill.toxiproxy import toxics
from servedrill.toxiproxy.addresses import split_host_port
from servedrill.toxiproxy.collection import Collection
from servedrill.toxiproxy.connection import Connection
from servedrill.toxiproxy.decode import proxy_input, toxic_input
from servedrill.toxiproxy.proxy import Proxy
from servedrill.toxiproxy.side import Side
from servedrill.toxiproxy.stub import LinkStub

assert toxics
CONNECTIONS = 5000
AT_ONCE = 200
TOXICS: list[dict[str, Any]] = [
    {"type": "latency", "attributes": {"latency": 20, "jitter": 10}},
    {"type": "bandwidth", "attributes": {"rate": 0}},
    {"type": "bandwidth", "attributes": {"rate": 5}},
    {"type": "slow_close", "attributes": {"delay": 20}},
    {"type": "timeout", "attributes": {"timeout": 5}},
    {"type": "timeout", "attributes": {"timeout": 0}},
    {"type": "reset_peer", "attributes": {"timeout": 5}},
    {"type": "slicer", "attributes": {"average_size": 7, "size_variation": 5, "delay": 100}},
    {"type": "limit_data", "attributes": {"bytes": 100}},
    {"type": "http_status", "attributes": {"probability": 0.5}},
    {"type": "stall_stream", "attributes": {"after_events": 1}},
    {"type": "cut_stream", "attributes": {"after_events": 1, "reset": True}},
    {"type": "token_rate", "attributes": {"tokens_per_s": 100}},
    {"type": "idle_close", "attributes": {"idle_ms": 5}},
]
REQUEST = b"GET / HTTP/1.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 30\r\n\r\n" + b"data: 12345678\n" * 2


class AnsweringServer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER)


class RandomClient(asyncio.Protocol):
    """Sends a few requests and leaves at some point: in order, in mid-air, or with a reset."""

    def __init__(self, chance: random.Random, gone: asyncio.Semaphore) -> None:
        self.chance, self.gone = chance, gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(REQUEST * self.chance.randint(0, 3))
        leave = self.chance.choice([self.transport.abort, self.transport.close, self.half_close])
        asyncio.get_running_loop().call_later(self.chance.random() * 0.02, leave)

    def half_close(self) -> None:
        if not self.transport.is_closing():
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(0.02, self.transport.close)

    def connection_lost(self, problem: Exception | None) -> None:
        self.gone.release()


async def shake_toxics(proxy: Proxy, chance: random.Random) -> None:
    """Add, update and remove toxics all the time."""
    while True:
        await asyncio.sleep(0.002)
        present = list(proxy.chain)
        if len(present) < 4 and chance.random() < 0.6:
            given = {**chance.choice(TOXICS), "name": str(chance.random()), "toxicity": chance.choice([0.3, 1])}
            proxy.chain.add(toxic_input({**given, "stream": chance.choice(["upstream", "downstream"])}))
        elif present and chance.random() < 0.5:
            proxy.chain.update(chance.choice(present), toxic_input({"toxicity": chance.choice([0, 0.5, 1])}))
        elif present:
            proxy.chain.remove(chance.choice(present), by="request")


async def churn(seed: int) -> tuple[Proxy, weakref.WeakSet[Any]]:
    chance = random.Random(seed)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(AnsweringServer, "127.0.0.1", 0, backlog=4096)
    host, port = server.sockets[0].getsockname()
    collection = Collection(seed=seed)
    proxy = await collection.create(proxy_input({"name": "p", "upstream": f"{host}:{port}", "tap": True}))
    address = split_host_port(proxy.listen)
    gone = asyncio.Semaphore(AT_ONCE)
    seen: weakref.WeakSet[Any] = weakref.WeakSet()
    shaker = loop.create_task(shake_toxics(proxy, chance))
    try:
        await use(proxy, address, chance, gone, seen)
        shaker.cancel()
        proxy.chain.clear(by="request")
        await quiet(proxy)
    finally:
        collection.close()
        server.close()
        await asyncio.sleep(0.05)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert all(task is shaker for task in left), left
    return proxy, seen


async def use(
    proxy: Proxy, address: tuple[str, int], chance: random.Random, gone: asyncio.Semaphore, seen: weakref.WeakSet[Any]
) -> None:
    """Open connections, so many at once; keep weak references to some of their parts."""
    loop = asyncio.get_running_loop()
    for number in range(CONNECTIONS):
        await gone.acquire()
        try:
            await loop.create_connection(lambda: RandomClient(chance, gone), *address)
        except OSError:
            gone.release()  # Reset before it was connected.
        if number % 50 == 0:
            seen.update(side for connection in proxy.connections for side in (connection.client, connection.upstream))


async def quiet(proxy: Proxy) -> None:
    """Wait until the last connection is gone."""
    deadline = time.monotonic() + 20
    while proxy.connections:
        assert time.monotonic() < deadline, f"{len(proxy.connections)} connections left"
        await asyncio.sleep(0.02)
    assert proxy.accepted > CONNECTIONS * 0.9


@pytest.mark.timeout(60)
def test_nothing_is_left_of_thousands_of_connections() -> None:
    """No connection, task, stub or socket: the objects themselves are gone."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        proxy, seen = runner.run(churn(seed=1))
    gc.collect()
    assert len(seen) == 0
    left = [thing for thing in gc.get_objects() if isinstance(thing, (Connection, Side, LinkStub))]
    assert left == []
    assert proxy.stats()["connections"] == 0
