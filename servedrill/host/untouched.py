"""Stretches of a program in which it reaches nobody: no connection, no process, no signal.

By an audit hook (PEP 578), which sees what a library does as well. A hook stays for as long as the process lives; it
costs nothing to whoever is not inside of such a stretch.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from functools import cache

from servedrill.errors import ServedrillError

_TOUCHES = frozenset({
    "socket.connect", "socket.sendto", "socket.sendmsg", "subprocess.Popen", "os.system", "os.exec", "os.fork",
    "os.forkpty", "os.posix_spawn", "os.kill", "os.killpg", "signal.pthread_kill", "os.remove", "os.rename", "os.rmdir",
    "shutil.rmtree",
})  # fmt: skip
_here = threading.local()


class Touched(ServedrillError, PermissionError):
    """Something would have been reached. An `OSError`, so that whoever tried to closes what it has opened."""


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Whatever this thread would reach inside raises `Touched`."""
    _hooked()
    with _set(True):
        yield


@contextlib.contextmanager
def touching() -> Iterator[None]:
    """Inside of an `untouched` stretch: what only looks may reach."""
    with _set(False):
        yield


@contextlib.contextmanager
def _set(closed: bool) -> Iterator[None]:
    before = getattr(_here, "closed", False)
    _here.closed = closed
    try:
        yield
    finally:
        _here.closed = before


@cache
def _hooked() -> None:
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in _TOUCHES and getattr(_here, "closed", False):
        raise Touched(f"{event}: nothing may be touched here")
