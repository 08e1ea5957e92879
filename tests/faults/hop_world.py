"""One hop: a server of event streams, a fault proxy in front of it, ours or the original, and users of both."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx

from servedrill.host.clock import wait_for
from servedrill.host.ports import free_ports

ORIGINAL = shutil.which(os.environ.get("SERVEDRILL_TOXIPROXY_SERVER", "toxiproxy-server"))
WHY_NOT = "no toxiproxy-server on PATH or in SERVEDRILL_TOXIPROXY_SERVER"

EVENTS = [
    b'data: {"model": "m1", "choices": [{"index": 0, "delta": {"content": " word%d"}}]}\n\n' % n for n in range(1, 7)
]


class StreamingServer:
    """GET /stream: six events 5 ms apart and [DONE]; /close: the same and the end of the connection; else some JSON."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            buffer = b""
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = sock.recv(65536)
                    if not data:
                        return
                    buffer += data
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                path = head.split(b" ")[1]
                if path not in (b"/v1/stream", b"/v1/close"):
                    sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
                    continue
                sock.sendall(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                for event in [*EVENTS, b"data: [DONE]\n\n"]:
                    sock.sendall(b"%x\r\n%b\r\n" % (len(event), event))
                    time.sleep(0.005)
                sock.sendall(b"0\r\n\r\n")
                if path == b"/v1/close":
                    return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class Hop:
    """A stack of one hop, called ``hop``; ``address`` is the proxy's, as host and port."""

    name = "one-hop"

    def __init__(self, api: str, address: tuple[str, int]) -> None:
        self.api, self.address = api, address

    def proxy_api(self) -> str:
        return self.api

    def hops(self) -> list[str]:
        return ["hop"]

    def connect(self, *, patience_s: float = 0.4) -> socket.socket:
        sock = socket.create_connection(self.address, timeout=patience_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def ask(self, path: str, *, sock: socket.socket | None = None, patience_s: float = 0.4) -> bytes:
        """What a user gets, see `read`; who asks for ``/v1/close`` waits for the server to hang up."""
        mine = sock or self.connect(patience_s=patience_s)
        with contextlib.suppress(OSError):
            mine.sendall(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path.encode())
        data = self.read(mine, to_the_close=path == "/v1/close")
        if sock is None:
            mine.close()
        return data

    def read(self, sock: socket.socket, *, patience_s: float | None = None, to_the_close: bool = False) -> bytes:
        """What comes: up to the end of the answer, of the connection, or of patience with silence."""
        data = b""
        if patience_s is not None:
            sock.settimeout(patience_s)
        with contextlib.suppress(OSError):
            while to_the_close or not data.endswith(b"0\r\n\r\n"):
                part = sock.recv(65536)
                data += part
                if not part or (b"application/json" in data and data.endswith(b"}")):
                    break
        return data


def answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=1).status_code == 200
    return False


@contextlib.contextmanager
def server_of(*command: str, api: str) -> Iterator[subprocess.Popen[bytes]]:
    """A proxy's process that answers at ``api``."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: answers(f"http://{api}/version"), what="the fault proxy", within_s=60)
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def hop_behind(*command: str, api: str) -> Iterator[Hop]:
    """A hop made at the server that ``command`` starts, in front of a server of streams."""
    server = StreamingServer()
    port = free_ports(1)[0]
    with contextlib.closing(server), server_of(*command, api=api):
        proxy = {"name": "hop", "listen": f"127.0.0.1:{port}", "upstream": server.address}
        httpx.post(f"http://{api}/proxies", json=proxy).raise_for_status()
        yield Hop(api, ("127.0.0.1", port))


def hop_of_ours() -> contextlib.AbstractContextManager[Hop]:
    port = str(free_ports(1)[0])
    return hop_behind(
        sys.executable, "-m", "servedrill.toxiproxy", "--port", port, "--die-with-parent", api=f"127.0.0.1:{port}"
    )


def hop_of_the_original() -> contextlib.AbstractContextManager[Hop]:
    port = str(free_ports(1)[0])
    return hop_behind(str(ORIGINAL), "-host", "127.0.0.1", "-port", port, api=f"127.0.0.1:{port}")
