"""Sockets that say how they ended, and a client that reads answers off one and notes when each part came."""

from __future__ import annotations

import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Self

TIMEOUT_S = 10.0


class Stopwatch:
    def __init__(self) -> None:
        self.start = time.monotonic()

    @property
    def s(self) -> float:
        return time.monotonic() - self.start


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
