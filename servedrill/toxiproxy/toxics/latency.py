"""Latency: each chunk arrives later by `latency` +- `jitter` milliseconds, less the time it has waited already.

The order is kept, and two latencies in a row add up because each moves the chunk's timestamp on by its own delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from servedrill.toxiproxy.toxic import Stub, toxic


@toxic("latency")
@dataclass(frozen=True, slots=True)
class Latency:
    """`latency` and `jitter` are in milliseconds."""

    buffer_bytes: ClassVar[int] = 32 * 1024 * 1024
    """A long fat pipe: a second of delay must not turn into a limit on bandwidth."""

    latency: int = 0
    jitter: int = 0

    def feed(self, stub: Stub, data: bytes, stamp: float) -> None:
        delay_s = self._delay_s(stub)
        if delay_s > 0:
            stub.hold(data, stamp, stamp + delay_s, shift=delay_s)
        else:
            stub.forward(data, stamp)

    def _delay_s(self, stub: Stub) -> float:
        delay_ms: float = self.latency
        if self.jitter > 0:
            delay_ms += (stub.random.random() * 2 - 1) * self.jitter
        return delay_ms / 1000
