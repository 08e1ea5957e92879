"""Servers that behave, or misbehave in one way each, and a client that runs a plan against them in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvloop

from servedrill.history.events import RequestRecord
from servedrill.host.clock import now_ns, wait_for
from servedrill.load.arrivals import Burst
from servedrill.load.client import Client
from servedrill.load.dispatch import Dispatcher
from servedrill.load.plan import LoadPlan, RequestClass, Target

SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def event(
    content: str | None = None, *, role: str | None = None, finish: str | None = None, index: int = 0, **more: Any
) -> bytes:
    """One chunk of a chat stream."""
    delta = {key: value for key, value in (("role", role), ("content", content)) if value is not None}
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"model": "m", "choices": [choice], **more}).encode() + b"\n\n"


def usage_event(*, prompt: int, completion: int, cached: int | None = None) -> bytes:
    """The last chunk of a stream that was asked for its usage."""
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    if cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
    return b"data: " + json.dumps({"model": "m", "choices": [], "usage": usage}).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body; the last one when it is empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole_answer(words: int) -> bytes:
    """Everything of a chat stream of that many words."""
    tokens = b"".join(chunk(event(f" w{i}")) for i in range(words))
    return (
        SSE_HEAD + chunk(event("", role="assistant")) + tokens + chunk(event(finish="stop")) + chunk(DONE) + chunk(b"")
    )


def plain(status: int, body: bytes, *headers: str) -> bytes:
    """A response of known length."""
    lines = [f"HTTP/1.1 {status} Status", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Request:
    """A request as the server saw it."""

    headers: dict[str, str]
    body: dict[str, Any]
    t_ns: int
    connection: int
    first_line: str = ""


@dataclass
class Peer:
    """One connection, for a behaviour to use."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int

    async def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))
        await self.writer.drain()

    def reset(self) -> None:
        """Close with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        while await self.reader.read(65536):
            pass


Behaviour = Callable[["Peer", Request, int], Awaitable[bool | None]]
"""Answers the n-th request (from 0) on a connection's peer; True keeps the connection open for another."""


@dataclass
class Server:
    """Serves one behaviour from a thread of its own."""

    behaviour: Behaviour
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[Request] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    sent_bytes: int = 0
    port: int = 0

    def __enter__(self) -> Self:
        self._ready = threading.Event()
        self._peers: list[Peer] = []
        self._handlers: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    @property
    def url(self) -> str:
        name = "localhost" if self.tls else self.host
        return f"{'https' if self.tls else 'http'}://{name}:{self.port}"

    def wait_closed(self, connections: int = 1) -> None:
        """Until the client has closed that many connections."""
        wait_for(lambda: self.closed >= connections, what=f"{connections} closed connections", within_s=30)

    def hang_up(self) -> None:
        """Close every connection there is."""
        wait_for(lambda: self.opened > 0, what="a connection", within_s=30)
        for peer in self._peers:
            self._loop.call_soon_threadsafe(peer.writer.transport.abort)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, self.host, self.port, ssl=self.tls, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        for listening in server.sockets:
            self._loop.remove_reader(listening.fileno())
        for _ in range(5):  # asyncio leaks a connection that is accepted in the round in which its server closes
            await asyncio.sleep(0)
        server.close()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in self._handlers & others:
                task.cancel()
            await asyncio.wait(others, timeout=0.1)
        for peer in self._peers:
            peer.writer.transport.abort()  # what its client never read is not waited for
        for peer in self._peers:
            with contextlib.suppress(OSError):
                await peer.writer.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        peer = Peer(reader, writer, self.opened)
        self._peers.append(peer)
        self.opened += 1
        try:
            while True:
                request = await self._read(peer)
                if not await self.behaviour(peer, request, len(self.requests) - 1):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            self.closed += 1
            writer.close()

    async def _read(self, peer: Peer) -> Request:
        lines = (await peer.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}
        body = json.loads(await peer.reader.readexactly(int(headers["content-length"])))
        request = Request(headers, body, now_ns(), peer.number, lines[0])
        self.requests.append(request)
        return request


def AnsweringServer(words: int = 3, **options: Any) -> Server:  # reads like the class it stands for
    """Gives every request a whole stream and keeps the connection."""

    async def behaviour(peer: Peer, request: Request, number: int) -> bool:
        await peer.send(whole_answer(words))
        return True

    return Server(behaviour, **options)


def TruncatingServer(words: int = 2, *, last_chunk: bool = False) -> Server:
    """Ends the stream without a terminal frame."""

    async def behaviour(peer: Peer, request: Request, number: int) -> None:
        await peer.send(SSE_HEAD, *(chunk(event(f" w{i}")) for i in range(words)), chunk(b"") if last_chunk else b"")

    return Server(behaviour)


def ClosingServer() -> Server:
    """Reads the request and closes without a word."""

    async def behaviour(peer: Peer, request: Request, number: int) -> None:
        return None

    return Server(behaviour)


def ResettingServer(*, words: int | None = None) -> Server:
    """Resets the connection: before it answers, or after some words."""

    async def behaviour(peer: Peer, request: Request, number: int) -> None:
        if words is not None:
            await peer.send(SSE_HEAD, *(chunk(event(f" w{i}")) for i in range(words)))
            await asyncio.sleep(0.05)  # a reset throws away what the other side has not read yet
        peer.reset()

    return Server(behaviour)


def StallingServer(words: int | None = None) -> Server:
    """Says nothing more: after some words, or from the beginning."""

    async def behaviour(peer: Peer, request: Request, number: int) -> None:
        if words is not None:
            await peer.send(
                SSE_HEAD, chunk(event("", role="assistant")), *(chunk(event(f" w{i}")) for i in range(words))
            )
        await peer.gone()

    return Server(behaviour)


def RefusingServer(status: int, *headers: str, times: int = 1 << 30, body: bytes | None = None) -> Server:
    """Refuses the first requests with an error in OpenAI's form, then answers."""
    error = {"error": {"message": "no", "type": "overloaded", "code": status, "request_id": "err-1"}}

    async def behaviour(peer: Peer, request: Request, number: int) -> bool:
        await peer.send(
            whole_answer(3) if number >= times else plain(status, body or json.dumps(error).encode(), *headers)
        )
        return True

    return Server(behaviour)


def ScriptedServer(*pieces: bytes, keep: bool = False) -> Server:
    """Answers with these very bytes, then closes unless told to keep the connection."""

    async def behaviour(peer: Peer, request: Request, number: int) -> bool:
        await peer.send(*pieces)
        return keep

    return Server(behaviour)


def one_class(**options: Any) -> RequestClass:
    """A class of one request, changed as the test needs it."""
    defaults: dict[str, Any] = {
        "name": "chat",
        "arrivals": Burst(1),
        "model": "m",
        "prompt_words": 4,
        "deadline_s": 60.0,  # nobody comes to it because the machine is busy
    }
    return RequestClass(**(defaults | options))


def plan_for(url: str, *classes: RequestClass, seed: int = 1, nonce: str = "run", **target: Any) -> LoadPlan:
    """A plan of these classes against one URL."""
    return LoadPlan(classes=list(classes), seed=seed, nonce=nonce, target=Target(base_url=url, **target)).check()


def run(plan: LoadPlan, *, within_s: float = 90.0) -> list[RequestRecord]:
    """Run a plan to its end in this process; its records in the order in which they ended."""
    return run_client(plan, within_s=within_s)[0]


def run_client(plan: LoadPlan, *, within_s: float = 90.0) -> tuple[list[RequestRecord], Client]:
    """As `run`, with the client that was used."""
    records: list[RequestRecord] = []
    trouble: list[dict[str, Any]] = []

    async def main() -> Client:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: trouble.append(context))
        client = Client(plan, loop, on_record=records.append)
        dispatcher = Dispatcher(plan, client)
        dispatcher.start(now_ns())
        async with asyncio.timeout(within_s):
            while not dispatcher.finished or client.calls:
                await asyncio.sleep(0.002)
        client.pool.close()
        await asyncio.sleep(0.005)  # the transports close in the loop's next turns
        return client

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        client = runner.run(main())
    assert not trouble, trouble
    return records, client


def only(plan: LoadPlan) -> RequestRecord:
    """The record of a plan of one request."""
    (record,) = run(plan)
    return record


def ask(server: Server, **options: Any) -> RequestRecord:
    """The record of one request to a server."""
    return only(plan_for(server.url, one_class(**options)))


def processes_gone(pids: list[int]) -> bool:
    """Whether none of these processes runs any more."""
    return not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
