"""What the proxy's tests stand on: a server process, upstreams named by what they do, and sockets that say how they ended."""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from servedrill.host.clock import wait_for
from servedrill.toxiproxy.addresses import split_host_port

TIMEOUT_S = 10.0


class Server:
    """A fault proxy in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        port_file = folder / "port"
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "servedrill.toxiproxy", "--port", "0", "--port-file", str(port_file), *options],
                stderr=log,
                env={**os.environ, "PYTHONDEVMODE": ""},
            )
        wait_for(lambda: port_file.exists() or self.process.poll() is not None, what="port file", within_s=20)
        assert port_file.exists(), self.log.read_text()
        self.port = int(port_file.read_text())

    def raw(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        status, _, raw = self.raw(method, path, None if body is None else json.dumps(body).encode())
        return status, json.loads(raw) if raw.startswith((b"{", b"[")) else raw.decode()

    def get(self, path: str) -> Any:
        status, body = self.call("GET", path)
        assert status == 200, (status, body)
        return body

    def proxy(self, name: str, upstream: str, **more: Any) -> Proxy:
        status, body = self.call("POST", "/proxies", {"name": name, "upstream": upstream, **more})
        assert status == 201, body
        return Proxy(self, name, body["listen"])

    def clear(self) -> None:
        for name in self.get("/proxies"):
            self.call("DELETE", f"/proxies/{quote(name, safe='')}")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(TIMEOUT_S)


class Proxy:
    """One proxy of a server, by its name."""

    def __init__(self, server: Server, name: str, listen: str) -> None:
        self.server, self.name, self.listen = server, name, listen
        self.address = split_host_port(listen)
        self.path = f"/proxies/{name}"

    def connect(self, **options: int) -> Peer:
        sock = socket.socket()
        sock.settimeout(TIMEOUT_S)
        for option, value in options.items():
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
        try:
            sock.connect(self.address)
        except OSError:
            sock.close()
            raise
        return Peer(sock)

    def add(self, type_name: str, attributes: dict[str, Any] | None = None, **more: Any) -> str:
        body = {"type": type_name, "attributes": attributes or {}, **more}
        status, answer = self.server.call("POST", f"{self.path}/toxics", body)
        assert status == 200, answer
        return str(answer["name"])

    def change(self, toxic: str, **body: Any) -> Any:
        status, answer = self.server.call("PATCH", f"{self.path}/toxics/{toxic}", body)
        assert status == 200, answer
        return answer

    def remove(self, toxic: str) -> None:
        status, answer = self.server.call("DELETE", f"{self.path}/toxics/{toxic}")
        assert status == 204, answer

    def evidence(self, toxic: str) -> Any:
        return self.server.get(f"{self.path}/toxics/{toxic}/evidence")

    def http(self) -> HttpPeer:
        return HttpPeer(self.connect())

    def stats(self) -> Any:
        return self.server.get(f"{self.path}/stats")["stats"]

    def exchanges(self, since: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.get(f"{self.path}/exchanges?since={since}")["exchanges"]
        return found

    def quiet(self) -> None:
        wait_for(lambda: self.stats()["connections"] == 0, what=f"no connection on {self.name}", within_s=TIMEOUT_S)


class Peer:
    """A socket whose end can be told apart: FIN, RST, or not yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self, count: int) -> bytes:
        """Exactly this many bytes, or fewer where the stream ended."""
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                break
            data += part
        return data

    def receive_until(self, mark: bytes) -> bytes:
        data = b""
        while mark not in data:
            part = self.sock.recv(65536)
            assert part, f"ended before {mark!r}: {data[-200:]!r}"
            data += part
        return data

    def receive_all(self) -> tuple[bytes, str]:
        """Everything up to the end, and how it ended: `fin` or `rst`."""
        data = b""
        try:
            while part := self.sock.recv(65536):
                data += part
        except ConnectionResetError:
            return data, "rst"
        return data, "fin"

    def is_silent_for(self, seconds: float) -> bool:
        return not select.select([self.sock], [], [], seconds)[0]

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@contextmanager
def upstream(talk: Callable[[Peer], None]) -> Iterator[str]:
    """A server that has `talk` with each client in a thread of its own; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    peers: list[Peer] = []

    def run(peer: Peer) -> None:
        try:
            talk(peer)
        except OSError:
            pass  # The test ended the connection; what it asserts it asserts at the client.
        finally:
            peer.close()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            peers.append(Peer(sock))
            threading.Thread(target=run, args=(peers[-1],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        host, port = listener.getsockname()
        yield f"{host}:{port}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(TIMEOUT_S)
        for peer in peers:
            peer.close()


def echoing(peer: Peer) -> None:
    while data := peer.sock.recv(65536):
        peer.send(data)


def swallowing(peer: Peer) -> None:
    while peer.sock.recv(65536):
        pass


def sending(data: bytes) -> Callable[[Peer], None]:
    """Sends at once, then waits for the client to end."""

    def talk(peer: Peer) -> None:
        peer.send(data)
        swallowing(peer)

    return talk


def answering_at_the_end(peer: Peer) -> None:
    """Reads until the client shuts its sending side, then answers: what a half-close is for."""
    received = b""
    while data := peer.sock.recv(65536):
        received += data
    peer.send(b"got %d" % len(received))


def dead_address() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


class Stopwatch:
    def __init__(self) -> None:
        self.start = time.monotonic()

    @property
    def s(self) -> float:
        return time.monotonic() - self.start


EVENTS = [f'data: {{"id":"c-1","model":"m1","choices":[{{"text":" t{n}"}}]}}\n\n'.encode() for n in range(1, 6)]
DONE = b"data: [DONE]\n\n"
STREAM = b"".join(EVENTS) + DONE
OK = b"HTTP/1.1 200 OK\r\n"
SSE = b"content-type: text/event-stream; charset=utf-8\r\n"
CHUNKED_HEAD = OK + SSE + b"transfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Engine:
    """An HTTP/1.1 server of event streams; what it sends depends on the path, and it remembers what it was asked.

    /chunked: one event a chunk · /ragged: chunks that cut events anywhere · /fixed: with a content-length · /close: until
    the connection closes · /json: no stream · /gated: each event waits for `step()` · /slow: 20 ms between events · /torn:
    ragged, 3 ms between chunks.
    """

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._gate = threading.Semaphore(0)

    def step(self, count: int = 1) -> None:
        self._gate.release(count)

    def __call__(self, peer: Peer) -> None:
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                data = peer.sock.recv(65536)
                if not data:
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
            )
            while len(buffer) < length:
                buffer += peer.sock.recv(65536)
            body, buffer = buffer[:length], buffer[length:]
            self.requests.append(head + b"|" + body)
            method, path = head.split(b" ")[:2]
            self.answer(peer, path.decode().split("?")[0], method == b"HEAD")
            if path.startswith(b"/close"):
                return

    def answer(self, peer: Peer, path: str, is_head: bool) -> None:
        if path == "/json":
            peer.send(OK + b"content-type: application/json\r\ncontent-length: 2\r\n\r\n" + (b"" if is_head else b"{}"))
        elif path == "/fixed":
            peer.send(OK + SSE + b"content-length: %d\r\n\r\n" % len(STREAM) + STREAM)
        elif path == "/close":
            peer.send(OK + SSE + b"connection: close\r\n\r\n" + STREAM)
        else:
            peer.send(CHUNKED_HEAD)
            if is_head:
                return
            parts = (
                [STREAM[at : at + 37] for at in range(0, len(STREAM), 37)]
                if path in ("/ragged", "/torn")
                else [*EVENTS, DONE]
            )
            for part in parts:
                if path == "/gated":
                    self._gate.acquire()
                elif path == "/slow":
                    time.sleep(0.02)
                elif path == "/torn":
                    time.sleep(0.003)
                peer.send(chunk(part))
            peer.send(b"0\r\n\r\n")


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *headers, "", ""]).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    return get(path, f"content-length: {len(body)}", *headers, method="POST") + body


@dataclass(slots=True)
class Response:
    """One answer as a client reads it, with the time at which each part of the body came."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    t_head_s: float = 0.0
    t_parts_s: list[float] = field(default_factory=list)
    ending: str = ""
    """`complete`, or how the connection ended before that: `fin` or `rst`."""

    @property
    def events(self) -> list[bytes]:
        return [event + b"\n\n" for event in self.body.split(b"\n\n")[:-1]]


class HttpPeer:
    """A client that reads answers one by one off a connection that it keeps."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._file = peer.sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.peer.close()

    def fetch(self, request: bytes) -> Response:
        self.peer.send(request)
        return self.read(is_head=request.startswith(b"HEAD"))

    def read(self, *, is_head: bool = False) -> Response:
        answer, watch = Response(), Stopwatch()
        try:
            self._read(answer, watch, is_head)
        except EOFError:
            answer.ending = "fin"
        except ConnectionResetError:
            answer.ending = "rst"
        return answer

    def is_silent_for(self, seconds: float) -> bool:
        return self.peer.is_silent_for(seconds)

    def _read(self, answer: Response, watch: Stopwatch, is_head: bool) -> None:
        answer.status = int(self._line().split(b" ")[1])
        while line := self._line():
            name, _, value = line.decode().partition(":")
            answer.headers[name.lower()] = value.strip()
        answer.t_head_s = watch.s
        if not is_head and "transfer-encoding" in answer.headers:
            while size := int(self._line(), 16):
                self._part(answer, watch, size)
                assert self._line() == b""
            assert self._line() == b""
        elif not is_head and "content-length" in answer.headers:
            self._part(answer, watch, int(answer.headers["content-length"]))
        elif not is_head:
            answer.body = self._file.read()
        answer.ending = "complete"

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        return line[:-2]

    def _part(self, answer: Response, watch: Stopwatch, size: int) -> None:
        while size:
            part = self._file.read1(size)
            if not part:
                raise EOFError
            size -= len(part)
            answer.body += part
            answer.t_parts_s.append(watch.s)
