"""Slicer: chunks are cut into pieces of about `average_size` bytes, sent `delay` microseconds apart.

It finds readers that take one read for one message. Timers count milliseconds, so short delays hold on average.
"""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.toxic import Stub, toxic


@toxic("slicer")
@dataclass(frozen=True, slots=True)
class Slicer:
    """`average_size` and `size_variation` are in bytes, `delay` in microseconds."""

    average_size: int = 0
    size_variation: int = 0
    delay: int = 0

    def problem(self) -> str | None:
        if self.average_size < 1:
            return "average_size has to be at least 1 byte"
        return "size_variation cannot be negative" if self.size_variation < 0 else None

    def feed(self, stub: Stub, data: bytes, stamp: float) -> None:
        stub.hold(data, stamp, stamp)

    def piece(self, stub: Stub) -> tuple[int, float]:
        size = self.average_size + stub.random.randint(-self.size_variation, self.size_variation)
        return max(size, 1), max(self.delay, 0) / 1_000_000
