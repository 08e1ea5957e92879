"""The one clock of a run: CLOCK_MONOTONIC in nanoseconds.

On Linux it is the same clock in every process of a machine, so a timestamp taken by a load worker,
by the fault proxy and by the drill can be compared without any correction.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from servedrill.errors import NotInTime

NS = 1_000_000_000


def now_ns() -> int:
    """Monotonic nanoseconds, comparable between the processes of this machine."""
    return time.monotonic_ns()


def suspended_s() -> float:
    """Seconds that this machine has been asleep since its start, which the one clock leaves out."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


def wait_for(condition: Callable[[], bool], *, what: str, within_s: float, every_s: float = 0.02) -> float:
    """Poll until ``condition()`` is true; return the seconds it took.

    Raises `NotInTime`, which names ``what`` was waited for, when ``within_s`` passed without it.
    """
    start = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - start
        if waited_s > within_s:
            raise NotInTime(what=what, waited_s=waited_s)
        time.sleep(every_s)
    return time.monotonic() - start
