"""One timer that many things share: armed for the earliest, and asked again when it fires."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from servedrill.host.clock import NS, now_ns

_ROUNDING_S = 0.0005
"""The loop counts whole milliseconds: half of one more keeps it from firing just before."""


class Alarm:
    """Calls back at or before the earliest instant that it was armed for, never later."""

    __slots__ = ("_action", "_due_ns", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
        self._loop, self._action = loop, action
        self._handle: asyncio.TimerHandle | None = None
        self._due_ns = 0

    def arm(self, due_ns: int) -> None:
        """Fire at ``due_ns`` unless something earlier is set already."""
        if self._handle is not None:
            if self._due_ns <= due_ns:
                return
            self._handle.cancel()
        self._due_ns = due_ns
        self._handle = self._loop.call_later(max(0, due_ns - now_ns()) / NS + _ROUNDING_S, self._fire)

    def close(self) -> None:
        """Fire never again; lets go of whom it would have called, who usually holds the alarm."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._action = _nothing

    def _fire(self) -> None:
        self._handle = None
        self._action()


def _nothing() -> None:
    pass
