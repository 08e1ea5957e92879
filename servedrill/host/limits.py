"""What this machine allows a drill, told before one runs: nothing here stops any, and each may cost it an answer."""

from __future__ import annotations

import os
from dataclasses import dataclass

from servedrill.host import memory_groups

CORES_MIN = 2


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that a machine may be short of."""

    what: str
    found: str
    do: str = ""
    """The one thing to do; empty where nothing is lacking."""


def limits(*, memory: bool) -> list[Limit]:
    """Of this machine now; ``memory``: whether engines are started here, and may be killed at a memory limit."""
    return [_cores(), _goes_first(), *([_memory_limit()] if memory else [])]


def _cores() -> Limit:
    cores = len(os.sched_getaffinity(0))
    do = "" if cores >= CORES_MIN else f"give it {CORES_MIN} cores: with fewer the load is late, and claims about time "
    return Limit("cores", str(cores), do + "are not judged" if do else "")


def _goes_first() -> Limit:
    """Load workers run before others, so that what they see is the stack's lateness and not their own."""
    what = "load may run before others (SCHED_RR)"
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        os.sched_setscheduler(0, *before)
    except OSError as error:
        do = "sudo prlimit --pid $$ --rtprio=1:1, for a container --ulimit rtprio=1; without it a busy machine makes "
        return Limit(what, f"no ({error.strerror})", do + "claims about time INCONCLUSIVE")
    return Limit(what, "yes")


def _memory_limit() -> Limit:
    """The way that a stack takes that is started here: see `servedrill.host.memory_groups`."""
    what = "kills at a memory limit by the kernel"
    try:
        group = memory_groups.place(f"servedrill-doctor-{os.getpid()}")
        memory_groups.make(group)
        group.rmdir()
    except (memory_groups.NoMemoryGroup, OSError) as error:
        return Limit(what, f"no, by servedrill itself ({error})")
    return Limit(what, "yes")
