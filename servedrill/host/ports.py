"""Ports for what we start: below the range of the kernel's source ports, so none is lost to an outgoing connection.

Between the choice of a port and the moment when it is bound, and while what listens there is started again, it looks
free to everybody. So it is claimed by a name that only one process can have: an abstract Unix socket, which lives in
the same network namespace as the port and ends with its process.
"""

from __future__ import annotations

import os
import random
import socket
from collections import deque

from servedrill.errors import StackError

_LOWEST, _HIGHEST = 15000, 32000
_CLAIMS_MAX = 128
"""More than any stack has ports: the oldest claim is dropped when a process makes one more."""
_claims: deque[int] = deque()
"""Descriptors of the sockets that carry the names."""


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
    """``count`` different free ports of 127.0.0.1, given to no other process while this one lives.

    Raises `StackError`.
    """
    chance = random.SystemRandom()
    found: list[int] = []
    for _ in range(10_000):
        port = chance.randrange(_LOWEST, _HIGHEST)
        if is_free(port) and _claimed(port):
            found.append(port)
            if len(found) == count:
                return found
    raise StackError("no free ports", where="127.0.0.1", expected=f"{count} between {_LOWEST} and {_HIGHEST}")


def _claimed(port: int) -> bool:
    """False when somebody has claimed it, be it this process."""
    with socket.socket(socket.AF_UNIX) as claim:
        try:
            claim.bind(f"\0servedrill-port-{port}")
        except OSError:
            return False
        _claims.append(claim.detach())
    while len(_claims) > _CLAIMS_MAX:
        os.close(_claims.popleft())
    return True


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
