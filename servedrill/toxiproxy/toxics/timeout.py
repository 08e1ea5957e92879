"""Timeout: nothing passes, and the connection closes `timeout` milliseconds after the last chunk.

With 0 it never closes by itself: a black hole, the fault that no error reports. Removing the toxic closes the
connection, because bytes are missing from it and nobody could use it any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.toxic import Stub, toxic


@toxic("timeout")
@dataclass(frozen=True, slots=True)
class Timeout:
    """`timeout` is in milliseconds; 0 is for ever."""

    timeout: int = 0

    def start(self, stub: Stub) -> None:
        self._wait(stub)

    def feed(self, stub: Stub, data: bytes, stamp: float) -> None:
        stub.drop(data)
        self._wait(stub)

    def clean_up(self, stub: Stub) -> None:
        stub.cut()

    def _wait(self, stub: Stub) -> None:
        if self.timeout > 0:
            stub.alarm(self.timeout / 1000, stub.cut)
