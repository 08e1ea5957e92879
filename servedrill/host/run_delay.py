"""How long processes waited for a core although they could have run, as the kernel counts it.

Run delay (``/proc/PID/task/TID/schedstat``) is a thread's time in a run queue: neighbours, a quota that is used up, too
few cores. Without CONFIG_SCHED_INFO no kernel tells it. What a hypervisor took away meanwhile (steal of ``/proc/stat``)
is in no thread's account, and pressure (``/proc/pressure/cpu``) is the machine's time with anybody waiting.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from servedrill.host.processes import family

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STEAL = 8
"""Its place in a line of /proc/stat, the name of the line counted."""

Threads = dict[int, tuple[int, int]]
"""Thread -> nanoseconds that it ran, and that it waited, since its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """What was counted between two looks; all in seconds."""

    span_s: float
    waited_s: dict[str, float]
    """Process -> of that thread, its own or of one below it, which waited longest."""
    ran_s: dict[str, float]
    """Process -> of all its threads together."""
    stolen_s: float
    """By a hypervisor, all cores together."""
    pressure_s: float | None
    """With anybody on the machine waiting; None where the kernel does not say."""


class RunDelays:
    """Looks at processes again and again; a thread that is new since counts from its start."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._threads: dict[str, Threads] = {}
        self._stolen_s, self._pressure_s = stolen_s(), pressure_s()

    def take(self, pids: Mapping[str, int]) -> Delays:
        """Since the look before; of a process that is looked at for the first time nothing is told yet."""
        now, seen = time.monotonic(), {name: threads_below(pid) for name, pid in pids.items()}
        waited_s: dict[str, float] = {}
        ran_s: dict[str, float] = {}
        for name, threads in seen.items():
            if (before := self._threads.get(name)) is None:
                continue
            since = [
                (ran - b[0], waited - b[1]) for tid, (ran, waited) in threads.items() for b in [before.get(tid, (0, 0))]
            ]
            waited_s[name] = max((waited for _, waited in since), default=0) / 1e9
            ran_s[name] = sum(ran for ran, _ in since) / 1e9
        stolen, pressure = stolen_s(), pressure_s()
        told = Delays(
            span_s=now - self._at,
            waited_s=waited_s,
            ran_s=ran_s,
            stolen_s=stolen - self._stolen_s,
            pressure_s=None if pressure is None or self._pressure_s is None else pressure - self._pressure_s,
        )
        self._at, self._threads, self._stolen_s, self._pressure_s = now, seen, stolen, pressure
        return told


def run_delay_untold() -> str:
    """Why this kernel does not tell run delay; empty where it does."""
    if threads_of(os.getpid()):
        return ""
    return "this kernel does not say how long processes wait for a core (/proc/PID/schedstat)"


def threads_below(pid: int) -> Threads:
    """Those of a process and of all below it."""
    return {tid: times for one in family(pid) for tid, times in threads_of(one).items()}


def threads_of(pid: int) -> Threads:
    """Those of a process; none where it is gone, or the kernel does not count."""
    found: Threads = {}
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return found
    for task in tasks:
        try:
            ran, waited, _ = (task / "schedstat").read_text().split()
        except (OSError, ValueError):
            continue
        found[int(task.name)] = int(ran), int(waited)
    return found


def stolen_s() -> float:
    """Since the machine's start, all cores together; 0 where the kernel does not say."""
    try:
        return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[_STEAL]) / _TICKS_PER_S
    except (OSError, ValueError, IndexError):
        return 0.0


def pressure_s() -> float | None:
    """Since the machine's start; None where the kernel does not say."""
    try:
        total = Path("/proc/pressure/cpu").read_text().split("total=", 1)[1].split()[0]
        return int(total) / 1e6
    except (OSError, ValueError, IndexError):
        return None
