"""Not a byte is lost, doubled or out of order while toxics that only delay come and go in the middle of everything."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from servedrill.toxiproxy import toxics
from servedrill.toxiproxy.addresses import split_host_port
from servedrill.toxiproxy.collection import Collection
from servedrill.toxiproxy.decode import proxy_input, toxic_input
from servedrill.toxiproxy.proxy import Proxy

assert toxics
PLAIN: list[dict[str, Any]] = [
    {"type": "noop"},
    {"type": "latency", "attributes": {"latency": 3, "jitter": 3}},
    {"type": "bandwidth", "attributes": {"rate": 40_000}},
    {"type": "slicer", "attributes": {"average_size": 3000, "size_variation": 2900, "delay": 10}},
]
HTTP: list[dict[str, Any]] = [
    {"type": "http_status", "attributes": {"probability": 0}},
    {"type": "delay_headers", "attributes": {"delay": 1}},
    {"type": "delay_first_token", "attributes": {"delay": 1}},
    {"type": "stall_stream", "attributes": {"after_events": 3, "duration": 2}},
    {"type": "token_rate", "attributes": {"tokens_per_s": 20_000}},
    {"type": "cut_stream", "attributes": {"after_events": 1_000_000}},
    {"type": "swap_model", "attributes": {"model": "m"}},
    {"type": "drop_event", "attributes": {"nth": 1_000_000}},
    {"type": "idle_close", "attributes": {"idle_ms": 60_000}},
]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def shake(proxy: Proxy, kinds: list[dict[str, Any]], chance: random.Random) -> None:
    """Add, update and remove toxics, all the time."""
    while True:
        await asyncio.sleep(chance.random() * 0.003)
        present = list(proxy.chain)
        if len(present) < 5 and chance.random() < 0.6:
            given = {**chance.choice(kinds), "name": str(chance.random())}
            proxy.chain.add(toxic_input({**given, "stream": chance.choice(["upstream", "downstream"])}))
        elif present and chance.random() < 0.4:
            proxy.chain.update(chance.choice(present), toxic_input({"toxicity": chance.choice([0, 1])}))
        elif present:
            proxy.chain.remove(chance.choice(present), by="request")


async def run(seed: int, kinds: list[dict[str, Any]], talk: Talk, use: Any, *, tap: bool) -> int:
    """Use a proxy in front of `talk` from several connections at once; how many toxics there were."""
    chance = random.Random(seed)
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    collection = Collection(seed=seed)
    proxy = await collection.create(proxy_input({"name": "p", "upstream": f"{host}:{port}", "tap": tap}))
    address = split_host_port(proxy.listen)
    shaker = asyncio.create_task(shake(proxy, kinds, chance))

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(*address)
        try:
            await use(reader, writer, random.Random(seed * 100 + number))
        finally:
            writer.close()

    try:
        async with asyncio.timeout(30):
            await asyncio.gather(*(one(number) for number in range(4)))
    finally:
        shaker.cancel()
        collection.close()
        server.close()
    assert not shaker.done() or shaker.cancelled()
    return proxy.accepted


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def send_and_compare(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: random.Random) -> None:
    """A megabyte there and back, in chunks of all sizes, with a half-close at the end."""
    data = chance.randbytes(1_000_000)

    async def send() -> None:
        at = 0
        while at < len(data):
            size = chance.choice([1, 10, 1000, 50_000])
            writer.write(data[at : at + size])
            at += size
            await writer.drain()
            if chance.random() < 0.1:
                await asyncio.sleep(0.001)
        writer.write_eof()

    sending = asyncio.create_task(send())
    assert await reader.read(-1) == data
    await sending


def stream_body(number: int) -> bytes:
    events = [f'data: {{"model":"m","n":{number},"i":{i},"text":"{"x" * (i * number % 50)}"}}\n\n' for i in range(40)]
    return ("".join(events) + "data: [DONE]\n\n").encode()


async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with event streams, chunked at random places, written at random places."""
    chance = random.Random(5)
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        body = stream_body(int(head.split(b"/")[1].split(b" ")[0]))
        raw = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        at = 0
        while at < len(body):
            part = body[at : at + chance.choice([3, 50, 61, 200])]
            raw += b"%x\r\n%b\r\n" % (len(part), part)
            at += len(part)
        raw += b"0\r\n\r\n"
        at = 0
        while at < len(raw):
            size = chance.choice([1, 2, 64, 300])
            writer.write(raw[at : at + size])
            at += size
            if chance.random() < 0.05:
                await asyncio.sleep(0.001)
        await writer.drain()


async def ask_and_compare(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: random.Random) -> None:
    """Keep-alive, sometimes pipelined."""
    for _ in range(15):
        numbers = [chance.randint(1, 99) for _ in range(chance.choice([1, 1, 3]))]
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in numbers))
        for number in numbers:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
            body = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += await reader.readexactly(size)
                assert await reader.readexactly(2) == b"\r\n"
            assert await reader.readexactly(2) == b"\r\n"
            assert body == stream_body(number)


def in_loop(coroutine: Any) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


@pytest.mark.parametrize("seed", range(3))
def test_bytes_arrive_whole_while_toxics_come_and_go(seed: int) -> None:
    """Both ways at once; what knows HTTP lets them pass."""
    assert in_loop(run(seed, PLAIN + HTTP, echo, send_and_compare, tap=seed == 0)) == 4


@pytest.mark.parametrize("tap", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_streams_arrive_whole_while_toxics_come_and_go(seed: int, tap: bool) -> None:
    """Every event of every answer, wherever a toxic joined or left."""
    assert in_loop(run(seed, PLAIN + HTTP * 2, stream, ask_and_compare, tap=tap)) == 4
