"""How late this worker is: its loop's lag, its sends' lag and its share of a core, measured all the time.

A timer that is late once by 100 ms stands for all the instants within those 100 ms at which something could have been
due, so each missed beat counts with the lag that it would have seen; else a long stall would hide in the percentile.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Sequence

from servedrill.host.clock import NS, now_ns

_BEAT_NS = 5_000_000
_TIMER_NS = 1_000_000
"""The loop's timers count whole milliseconds: so much is the timer, not the loop."""
_LAGS_MAX = 100_000


class LagMeter:
    """Measures the loop's lag with a beat every 5 ms."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lags_ns: list[int] = []
        self._due_ns = now_ns() + _BEAT_NS
        self._timer = loop.call_later(_BEAT_NS / NS, self._beat)

    def take(self) -> list[int]:
        """The lags since the last call, in nanoseconds."""
        lags, self._lags_ns = self._lags_ns, []
        return lags

    def close(self) -> None:
        """Measure no more."""
        self._timer.cancel()

    def _beat(self) -> None:
        now = now_ns()
        late_ns = max(0, now - self._due_ns - _TIMER_NS)
        while late_ns >= 0 and len(self._lags_ns) < _LAGS_MAX:
            self._lags_ns.append(late_ns)
            late_ns -= _BEAT_NS
        self._due_ns = now + _BEAT_NS
        self._timer = self._loop.call_later(_BEAT_NS / NS, self._beat)


class CpuMeter:
    """The share of one core that this process used since it was last asked; above 1 with more threads than one."""

    def __init__(self) -> None:
        self._wall_s, self._cpu_s = time.monotonic(), time.process_time()

    def take(self) -> float:
        """The share since the last call."""
        wall_s, cpu_s = time.monotonic(), time.process_time()
        ratio = (cpu_s - self._cpu_s) / max(1e-9, wall_s - self._wall_s)
        self._wall_s, self._cpu_s = wall_s, cpu_s
        return ratio


def p99_s(values_ns: Sequence[int]) -> float:
    """99th percentile in seconds, the nearest rank; 0 when there are no values."""
    if not values_ns:
        return 0.0
    ranked = sorted(values_ns)
    return max(0, ranked[-(-len(ranked) * 99 // 100) - 1]) / NS


def counts_ms(values_ns: Sequence[int]) -> dict[int, int]:
    """How often each lag was seen, in whole milliseconds, rounded up."""
    return dict(Counter(-(-value // 1_000_000) for value in values_ns))


def settle_gc() -> None:
    """Leave collecting garbage to whoever calls `gc.collect` at a quiet moment.

    Nothing made so far is garbage, and a full collection would stall every stream for as long as it takes.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
