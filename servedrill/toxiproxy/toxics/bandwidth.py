"""Bandwidth: the link carries `rate` kilobytes (1,000 bytes) a second; a rate of 0 stalls it until the toxic changes.

Large chunks leave in pieces of 100 ms, so that the receiver sees a slow stream and not a burst at the end.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from servedrill.toxiproxy.toxic import Stub, toxic

PIECE_S = 0.1


class _Pace:
    """When the last byte that was taken will have left."""

    __slots__ = ("free_at",)

    def __init__(self) -> None:
        self.free_at = 0.0


@toxic("bandwidth")
@dataclass(frozen=True, slots=True)
class Bandwidth:
    """`rate` is in KB/s; 0 stalls the link."""

    rate: int = 0

    def new_state(self) -> _Pace:
        return _Pace()

    def problem(self) -> str | None:
        return "rate is in KB/s and cannot be negative" if self.rate < 0 else None

    def start(self, stub: Stub) -> None:
        stub.state.free_at = 0.0

    def feed(self, stub: Stub, data: bytes, stamp: float) -> None:
        if self.rate == 0:
            stub.hold(data, stamp, math.inf)
            return
        pace: _Pace = stub.state
        bytes_per_s = self.rate * 1000
        piece = max(int(bytes_per_s * PIECE_S), 1)
        pace.free_at = max(pace.free_at, time.monotonic())
        for at in range(0, len(data), piece):
            part = data[at : at + piece]
            pace.free_at += len(part) / bytes_per_s
            stub.hold(part, stamp, pace.free_at)
