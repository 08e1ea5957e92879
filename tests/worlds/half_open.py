"""Clients of a control port that do not get to an end: they have to be hung up on, and others answered meanwhile.

The port answers ``GET /version``, and reads what comes with ``POST /proxies``.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

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


def drip(client: socket.socket, data: bytes, over: threading.Event) -> None:
    """Byte by byte, until it is hung up on."""
    with contextlib.suppress(OSError):
        for byte in data:
            client.send(bytes([byte]))
            if over.wait(0.05):
                return


def all_given_up(port: int, *, headers: dict[str, str] | None = None) -> dict[str, bytes]:
    """What each was told until it was hung up on; all at once."""
    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        said = pool.map(lambda name: given_up(port, name, headers=headers), CLIENTS)
        return dict(zip(CLIENTS, said, strict=True))


def given_up(port: int, name: str, *, headers: dict[str, str] | None = None) -> bytes:
    """What one was told until it was hung up on."""
    proof = "".join(f"{key}: {value}\r\n" for key, value in (headers or {}).items()).encode()
    at_once, slowly = (part.replace(b"\r\nHost:", b"\r\n" + proof + b"Host:") for part in CLIENTS[name])
    over = threading.Event()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(60)
        client.sendall(at_once)
        dripping = threading.Thread(target=drip, args=(client, slowly, over))
        dripping.start()
        other = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        other.request("GET", "/version", headers=headers or {})
        assert other.getresponse().status == 200
        other.close()
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while more := client.recv(4096):
                said += more
        over.set()
        dripping.join()
    return said
