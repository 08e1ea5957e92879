"""Upstreams of the proxy's tests, named by what they do."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toxi_peers import TIMEOUT_S, Peer

EVENTS = [f'data: {{"id":"c-1","model":"m1","choices":[{{"text":" t{n}"}}]}}\n\n'.encode() for n in range(1, 6)]
DONE = b"data: [DONE]\n\n"
STREAM = b"".join(EVENTS) + DONE
OK = b"HTTP/1.1 200 OK\r\n"
SSE = b"content-type: text/event-stream; charset=utf-8\r\n"
CHUNKED_HEAD = OK + SSE + b"transfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def texts(events: list[bytes]) -> list[str]:
    """The token texts of a stream, its other events by name."""
    found = []
    for event in events:
        data = event.removeprefix(b"data: ").strip()
        try:
            body = json.loads(data)
            found.append(body["choices"][0]["text"] if "choices" in body else "error")
        except ValueError:
            found.append("done" if data == b"[DONE]" else "broken")
    return found


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


class Engine:
    """An HTTP/1.1 server of event streams; what it sends depends on the path, and it remembers what it was asked.

    /chunked  one event a chunk           /json   no stream
    /ragged   chunks that cut events      /gated  each event waits for `step()`
    /fixed    with a content-length       /slow   20 ms between events
    /close    until the connection ends   /torn   ragged, 3 ms between chunks
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
