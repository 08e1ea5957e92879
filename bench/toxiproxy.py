"""What the fault proxy costs: CPU per streamed event, added delay, throughput; beside the original where there is one.

    python bench/toxiproxy.py [--streams 300] [--seconds 3] [--rounds 3]

The original is `toxiproxy-server` on PATH, or what SERVEDRILL_TOXIPROXY_SERVER names. Both do the same scenes in turn,
round by round, and the ratios are of the medians: below 1 ours is cheaper, or faster to pass on; for throughput above 1
ours carries more. One process sends and receives all streams, 50 events a second each, and the proxy's own CPU time is
read from /proc, so the load's cost is not counted. Delay is what each event took from write to read; "direct" is the
same without a proxy.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, cast

import uvloop
from rich.console import Console
from rich.table import Table

EVENT_S = 0.020
REQUEST = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STAMP = struct.Struct("<Q")
BULK_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Figures:
    cpu_us: float
    delay_ms_p50: float
    delay_ms_p99: float
    events: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running proxy server, ours or the original."""

    pid: int
    port: int

    def call(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=json.dumps(body).encode(), method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def proxy(self, name: str, upstream: str, **more: Any) -> tuple[str, int]:
        body = {"name": name, "upstream": upstream, "listen": "127.0.0.1:0", **more}
        host, port = self.call("POST", "/proxies", body)["listen"].rsplit(":", 1)
        return host, int(port)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Source(asyncio.Protocol):
    """Answers a request with a stream of stamped events."""

    live: ClassVar[set[Source]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(HEAD)
        Source.live.add(self)

    def connection_lost(self, problem: Exception | None) -> None:
        Source.live.discard(self)


def event() -> bytes:
    """One chunk with one event of about 200 bytes, as a completion stream has them."""
    choice = f'{{"index":0,"text":" word","t":"{time.monotonic_ns():020d}"}}'
    text = f'{{"id":"cmpl-0","object":"text_completion","choices":[{choice}]}}'
    body = f"data: {text:<180}\n\n"
    return f"{len(body):x}\r\n{body}\r\n".encode()


class Reader(asyncio.Protocol):
    """Reads a stream and notes how long each event took."""

    def __init__(self, delays_ns: list[int]) -> None:
        self.delays_ns = delays_ns

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        at = data.find(b'"t":"')
        while at >= 0:
            self.delays_ns.append(now - int(data[at + 5 : at + 25]))
            at = data.find(b'"t":"', at + 25)


async def stream_load(
    count: int, seconds: float, address: Callable[[str], tuple[str, int]], cpu_s: Callable[[], float]
) -> Figures:
    """Run the streams through ``address(upstream)`` and measure the middle part."""
    loop = asyncio.get_running_loop()
    source = await loop.create_server(Source, "127.0.0.1", 0)
    host, port = source.sockets[0].getsockname()
    target = address(f"{host}:{port}")
    delays: list[int] = []
    readers = []
    for _ in range(count):
        _, reader = await loop.create_connection(lambda: Reader(delays), *target)
        readers.append(reader)
    while len(Source.live) < count:
        await asyncio.sleep(0.01)
    senders = list(Source.live)
    start = loop.time()
    warm_until, sent, cpu_before, counted_from = start + 0.5, 0, 0.0, 0
    slots = 20
    while loop.time() < start + 0.5 + seconds:
        tick = start + sent * EVENT_S / slots
        if tick > loop.time():
            await asyncio.sleep(tick - loop.time())
        for sender in senders[sent % slots :: slots]:
            sender.transport.write(event())
        sent += 1
        if not counted_from and loop.time() > warm_until:
            cpu_before, counted_from = cpu_s(), len(delays)
    await asyncio.sleep(0.1)
    cpu = cpu_s() - cpu_before
    measured = sorted(delays[counted_from:])
    for reader in readers:
        reader.transport.close()
    source.close()
    await asyncio.sleep(0.05)
    Source.live.clear()
    return Figures(
        cpu_us=cpu / len(measured) * 1e6,
        delay_ms_p50=measured[len(measured) // 2] / 1e6,
        delay_ms_p99=measured[int(len(measured) * 0.99)] / 1e6,
        events=len(measured),
    )


def bulk_mb_s(address: Callable[[str], tuple[str, int]]) -> float:
    """One connection, as fast as it goes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = address("{}:{}".format(*listener.getsockname()))

        def send() -> None:
            sock, _ = listener.accept()
            with sock:
                block = b"x" * 1_000_000
                for _ in range(BULK_BYTES // len(block)):
                    sock.sendall(block)

        sender = threading.Thread(target=send)
        sender.start()
        with socket.create_connection(target) as sock:
            space = bytearray(1_000_000)
            start = time.perf_counter()
            while sock.recv_into(space):
                pass
            elapsed = time.perf_counter() - start
        sender.join()
    return BULK_BYTES / elapsed / 1e6


@contextmanager
def embedded() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        command = [sys.executable, "-m", "servedrill.toxiproxy", "--port", "0", "--port-file", str(port_file)]
        process = subprocess.Popen([*command, "--die-with-parent"], stderr=subprocess.DEVNULL)
        try:
            while not port_file.exists():
                time.sleep(0.02)
            yield Server(process.pid, int(port_file.read_text()))
        finally:
            process.terminate()
            process.wait()


@contextmanager
def original(program: str) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([program, "-port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        server = Server(process.pid, port)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.02)
        yield server
    finally:
        process.terminate()
        process.wait()


LATENCY = {"type": "latency", "attributes": {"latency": 1}}
STREAM = {"type": "cut_stream", "attributes": {"after_events": 1_000_000}}


@dataclass(frozen=True, slots=True)
class Scene:
    """A proxy as it is measured; ``shared`` by both servers, since the original has no tap and knows no streams."""

    name: str
    shared: bool = False
    toxic: dict[str, Any] | None = None
    tap: bool = False

    def open_at(self, server: Server, name: str, upstream: str) -> tuple[str, int]:
        """The toxic comes in a call of its own: the original takes none together with the proxy."""
        address = server.proxy(name, upstream, **({"tap": True} if self.tap else {}))
        if self.toxic is not None:
            server.call("POST", f"/proxies/{name}/toxics", self.toxic)
        return address


SCENES = [
    Scene("no toxic", shared=True),
    Scene("latency 1 ms", shared=True, toxic=LATENCY),
    Scene("tap", tap=True),
    Scene("tap, cut_stream", tap=True, toxic=STREAM),
    Scene("tap, latency 1 ms", tap=True, toxic=LATENCY),
]


@dataclass(frozen=True, slots=True)
class Result:
    """Medians of the rounds; ``bulk_mb_s`` is 0 where it was not measured."""

    cpu_us: float
    delay_ms_p50: float
    delay_ms_p99: float
    bulk_mb_s: float

    @classmethod
    def of(cls, figures: list[Figures], bulks: list[float]) -> Result:
        return cls(
            cpu_us=median(f.cpu_us for f in figures),
            delay_ms_p50=median(f.delay_ms_p50 for f in figures),
            delay_ms_p99=median(f.delay_ms_p99 for f in figures),
            bulk_mb_s=median(bulks) if bulks else 0.0,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each scene (default: %(default)s)")
    given = parser.parse_args()
    numbers = itertools.count(1)

    def run(address: Callable[[str], tuple[str, int]], cpu_s: Callable[[], float]) -> Figures:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(stream_load(given.streams, given.seconds, address, cpu_s))

    def split(upstream: str) -> tuple[str, int]:
        host, port = upstream.rsplit(":", 1)
        return host, int(port)

    def measure(server: Server, scene: Scene) -> tuple[Figures, float]:
        def opened(upstream: str) -> tuple[str, int]:
            return scene.open_at(server, f"scene-{next(numbers)}", upstream)

        return run(opened, server.cpu_s), 0.0 if scene.toxic is LATENCY else bulk_mb_s(opened)

    straight: list[Figures] = []
    results: dict[tuple[str, str], Result] = {}
    program = shutil.which(os.environ.get("SERVEDRILL_TOXIPROXY_SERVER", "toxiproxy-server"))
    with embedded() as ours, original(program) if program else nullcontext() as theirs:
        for scene in SCENES:
            servers = {"embedded": ours} | ({"original": theirs} if theirs is not None and scene.shared else {})
            measured: dict[str, list[tuple[Figures, float]]] = {name: [] for name in servers}
            for _ in range(given.rounds):
                if scene.shared:
                    straight.append(run(split, lambda: 0.0))
                for name, server in servers.items():
                    measured[name].append(measure(server, scene))
            for name, rounds in measured.items():
                bulks = [bulk for _, bulk in rounds if bulk]
                results[name, scene.name] = Result.of([figures for figures, _ in rounds], bulks)
    direct = Result.of(straight, [bulk_mb_s(split) for _ in range(given.rounds)])
    console = Console(width=120)
    console.print(costs(given.streams, direct, results))
    if program:
        console.print(ratios(direct, results))
    else:
        console.print("no toxiproxy-server on PATH or in SERVEDRILL_TOXIPROXY_SERVER: no figures of the original")


def costs(streams: int, direct: Result, results: dict[tuple[str, str], Result]) -> Table:
    table = Table(title=f"{streams} streams, one event per {EVENT_S * 1000:.0f} ms each")
    for column in ("server", "scene", "CPU us/event", "delay p50 ms", "p99 ms", "p99 added ms", "bulk MB/s"):
        table.add_column(column, justify="left" if column in ("server", "scene") else "right")
    table.add_row(
        "none", "direct", "", f"{direct.delay_ms_p50:.2f}", f"{direct.delay_ms_p99:.2f}", "", f"{direct.bulk_mb_s:.0f}"
    )
    for (name, scene), result in results.items():
        added = result.delay_ms_p99 - direct.delay_ms_p99
        cells = [f"{result.cpu_us:.1f}", f"{result.delay_ms_p50:.2f}", f"{result.delay_ms_p99:.2f}", f"{added:.2f}"]
        table.add_row(name, scene, *cells, f"{result.bulk_mb_s:.0f}" if result.bulk_mb_s else "")
    return table


def ratios(direct: Result, results: dict[tuple[str, str], Result]) -> Table:
    """Ours over the original's, scene by scene."""
    table = Table(title="embedded / original")
    for column in ("scene", "CPU/event", "p99 added", "bulk throughput"):
        table.add_column(column, justify="left" if column == "scene" else "right")
    for scene in (scene.name for scene in SCENES if scene.shared):
        ours, theirs = results["embedded", scene], results["original", scene]
        added = [result.delay_ms_p99 - direct.delay_ms_p99 for result in (ours, theirs)]
        table.add_row(
            scene,
            f"{ours.cpu_us / theirs.cpu_us:.2f}",
            f"{added[0] / added[1]:.2f}" if min(added) > 0 else "(no delay to tell)",
            f"{ours.bulk_mb_s / theirs.bulk_mb_s:.2f}" if theirs.bulk_mb_s else "",
        )
    return table


if __name__ == "__main__":
    main()
