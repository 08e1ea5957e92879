"""A real server process, with a fault proxy in front of it, and what a client sees of either."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from servedrill.host.clock import wait_for
from servedrill.host.ports import free_ports
from servedrill.stacks.proxies import Hop, Proxies, ProxyTable

SILENT_S = 0.5
"""So long without a word is silence: on loopback everything else comes within a millisecond."""
PATIENCE_S = 60.0
_SERVER = """
import http.server, sys, time
class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_):
        pass
    def do_GET(self):
        if self.path == "/health":
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")
            return
        if self.path == "/prefill":
            time.sleep(600)
        self.send_response(200)
        self.send_header("content-length", "1000000")
        self.end_headers()
        self.wfile.write(b"token ")
        self.wfile.flush()
        time.sleep(600)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Engine)
server.daemon_threads = True
print(flush=True)
server.serve_forever()
"""


@dataclass(frozen=True, kw_only=True)
class World:
    """Where the server is reached, straight and through the proxy; its process; the proxy's API, as stacks have it."""

    direct: int
    proxied: int
    process: subprocess.Popen[bytes]
    proxies: Proxies

    def proxy_api(self) -> str:
        return self.proxies.address

    def hops(self) -> list[str]:
        return self.proxies.names


class _Nobody:
    def keep(self, what: str, *undo: object) -> None:
        """The test itself ends what it starts."""


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    """One server, one proxy, as a stack puts it in front of an engine."""
    direct, proxied, control = free_ports(3)
    process = subprocess.Popen([sys.executable, "-c", _SERVER, str(direct)], stdout=subprocess.PIPE)
    proxies = Proxies(ProxyTable(), logs=folder, seed=1, on_undo=_Nobody())  # type: ignore[arg-type]
    try:
        assert process.stdout is not None
        process.stdout.readline()
        proxies.start(port=control)
        proxies.make([Hop(name="engine-0", listen=f"127.0.0.1:{proxied}", upstream=f"127.0.0.1:{direct}")])
        wait_for(lambda: health(proxied) == "answer", what="the hop", within_s=PATIENCE_S)
        yield World(direct=direct, proxied=proxied, process=process, proxies=proxies)
    finally:
        process.kill()
        process.communicate()
        proxies.close()


# ---- what a client sees, in a word


def connects(port: int) -> str:
    """A new connection, on which nothing is said yet."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S):
            return "connected"
    except ConnectionRefusedError:
        return "refused"


def health(port: int) -> str:
    """A health check on a connection of its own."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
            return asks(sock)
    except ConnectionRefusedError:
        return "refused"


def asks(sock: socket.socket) -> str:
    """A question on a connection that is open."""
    try:
        sock.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        return "lost"
    return hears(sock)


def hears(sock: socket.socket) -> str:
    """What comes next on a connection."""
    sock.settimeout(SILENT_S)
    try:
        data = sock.recv(65536)
    except TimeoutError:
        return "silence"
    except ConnectionResetError:
        return "lost"
    return "answer" if data else "end"


@contextlib.contextmanager
def clients(port: int) -> Iterator[dict[str, socket.socket]]:
    """Three that are connected when the fault comes: one between requests, one waiting for its first byte, one in the
    middle of an answer."""
    with contextlib.ExitStack() as stack:
        found = {
            name: stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S))
            for name in ("idle", "first byte", "mid-stream")
        }
        for sock in found.values():
            sock.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            received = b""
            while not received.endswith(b"ok"):
                received += sock.recv(65536)
        found["first byte"].sendall(b"GET /prefill HTTP/1.1\r\nhost: x\r\n\r\n")
        found["mid-stream"].sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        received = b""
        while b"token " not in received:
            received += found["mid-stream"].recv(65536)
        yield found
