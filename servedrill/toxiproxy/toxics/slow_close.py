"""Slow close: data passes, only the end of the stream comes `delay` milliseconds late."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.toxic import Mark, Stub, toxic


@toxic("slow_close")
@dataclass(frozen=True, slots=True)
class SlowClose:
    """`delay` is in milliseconds."""

    delay: int = 0

    def feed(self, stub: Stub, data: bytes, stamp: float) -> None:
        stub.forward(data, stamp)

    def end(self, stub: Stub, mark: Mark, stamp: float) -> None:
        if self.delay > 0:
            stub.hit()
            stub.evidence.closes_delayed += 1
        stub.end(mark, stamp, due=stamp + self.delay / 1000)
