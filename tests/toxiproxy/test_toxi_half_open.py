"""Clients of the control API that do not get to an end: they are hung up on, and others are answered meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from servedrill.host.clock import wait_for

IMPATIENT = """
import asyncio, sys
from pathlib import Path
from servedrill.toxiproxy.server import Settings, serve
settings = Settings(host="127.0.0.1", port=0, config=None, seed=1, metrics=False, port_file=Path(sys.argv[1]),
                    patience_s=1.0, idle_s=1.0)
asyncio.run(serve(settings))
"""
HEAD = b"GET /version HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 4000
BODY = b"POST /proxies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n"
ASKED = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLIENTS: dict[str, tuple[bytes, bytes]] = {
    "silent": (b"", b""),
    "half a head": (HEAD[:40], b""),
    "a byte at a time": (b"", HEAD),
    "half a body": (BODY + b'{"name": ', b""),
    "a body a byte at a time": (BODY, b" " * 4000),
    "silent after an answer": (ASKED, b""),
    "a second head a byte at a time": (ASKED, HEAD),
}
"""What is sent at once, and what is sent byte by byte."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    file = tmp_path_factory.mktemp("impatient") / "port"
    with subprocess.Popen([sys.executable, "-c", IMPATIENT, str(file)], stderr=subprocess.DEVNULL) as process:
        wait_for(file.exists, what="the fault proxy", within_s=60)
        yield int(Path(file).read_text())
        process.kill()


def drip(client: socket.socket, data: bytes, over: threading.Event) -> None:
    """Byte by byte, until it is hung up on."""
    with contextlib.suppress(OSError):
        for byte in data:
            client.send(bytes([byte]))
            if over.wait(0.05):
                return


@pytest.mark.parametrize("name", CLIENTS)
def test_half_a_request_is_given_up(port: int, name: str) -> None:
    """Whatever it does not send; who asks properly meanwhile is answered."""
    at_once, slowly = CLIENTS[name]
    over = threading.Event()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(60)
        client.sendall(at_once)
        dripping = threading.Thread(target=drip, args=(client, slowly, over))
        dripping.start()
        other = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        other.request("GET", "/version")
        assert other.getresponse().status == 200
        other.close()
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while more := client.recv(4096):
                said += more
        over.set()
        dripping.join()
    if "body" in name:
        assert said.startswith(b"HTTP/1.1 400 ")
        assert b"it was not here after 1 s" in said
    else:
        assert said.startswith(b"HTTP/1.1 200 ") if at_once == ASKED else said == b""
