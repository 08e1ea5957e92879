"""Ports for what we start: below the range from which the kernel takes source ports, so that none is lost to an outgoing connection."""

from __future__ import annotations

import random
import socket

from servedrill.errors import StackError

_LOWEST, _HIGHEST = 15000, 32000


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether TCP and UDP can be bound there now."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((host, port))
            except OSError:
                return False
    return True


def free_ports(count: int) -> list[int]:
    """``count`` different free ports of 127.0.0.1."""
    chance = random.SystemRandom()
    found: list[int] = []
    for _ in range(10_000):
        port = chance.randrange(_LOWEST, _HIGHEST)
        if port not in found and is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise StackError("no free ports", where="127.0.0.1", expected=f"{count} between {_LOWEST} and {_HIGHEST}")


def require_free(port: int, *, where: str) -> int:
    """``port``, when it is free. Raises `StackError`."""
    if not is_free(port):
        raise StackError(
            f"port {port} is taken",
            where=where,
            expected="a free port",
            hint=f"`ss -ltnp 'sport = :{port}'` says by whom; 0 lets servedrill choose",
        )
    return port
