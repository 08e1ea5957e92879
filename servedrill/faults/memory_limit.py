"""Two ways to kill at a memory limit: by the kernel in a memory cgroup, or by servedrill where there is none."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from servedrill.errors import FaultError, NotInTime
from servedrill.faults.kept_limit import Killed
from servedrill.host import memory_groups
from servedrill.host.clock import wait_for
from servedrill.host.processes import family, identify, resident_bytes
from servedrill.leases.marked import Marked
from servedrill.leases.undo import Undo, WriteFile
from servedrill.stacks.protocols import Identity

_KILL_WITHIN_S = 10.0
_MIB = 1 << 20
_BALLAST = """
import contextlib, sys, time
with contextlib.suppress(OSError):
    open('/proc/self/oom_score_adj', 'w').write('0')
held = []
print("ready", flush=True)
for _ in range(int(sys.argv[1]) if sys.stdin.readline() else 0):
    held.append(bytearray(b'\\x5a') * (1 << 20))
    time.sleep(0.001)
sys.stdin.readline()
"""


class MemoryLimit(Protocol):
    """A limit with a ballast inside it, for one replica; sizes in bytes."""

    by: str
    """Who keeps it."""
    held_bytes: int
    """What was held when the limit was set."""

    def undo(self) -> list[Undo]:
        """How all of it is undone, known before `exceed`."""

    def exceed(self, victim: Identity) -> None:
        """Set the limit above what is held, and let the ballast grow until somebody was killed.

        Raises `NotInTime` where nobody is, `FaultError` where the ballast cannot.
        """

    def kills(self) -> int:
        """How often was killed since."""

    def told(self) -> str:
        """What was seen of it, in words."""

    def lift(self) -> None:
        """End the ballast, and take the limit away; nothing to do a second time."""


class KernelLimit:
    """Kept by the kernel: the replica's memory cgroup gets a limit, and the ballast goes into the group."""

    by = "the kernel"

    def __init__(self, group: Path, *, headroom_bytes: int, kills_told: Callable[[], int]) -> None:
        """``kills_told``: as whoever looks after the replica counts; a container's group ends with the container."""
        self._group, self._headroom_bytes, self._kills_told = group, headroom_bytes, kills_told
        self._file = memory_groups.limit_file(group)
        self._unlimited = memory_groups.UNLIMITED[memory_groups.version_of(group)]
        self._ballast: subprocess.Popen[bytes] | None = None
        self._marked = Marked()
        self._kills_before = self._kills_told_before = 0
        self.held_bytes = 0

    def undo(self) -> list[Undo]:
        """As `MemoryLimit.undo`."""
        return [WriteFile(path=str(self._file), text=self._unlimited), self._marked.undo()]

    def exceed(self, victim: Identity) -> None:
        """As `MemoryLimit.exceed`."""
        command = [sys.executable, "-c", _BALLAST, _most(self._headroom_bytes)]
        self._ballast = self._marked.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._ballast.stdout is not None
        if self._ballast.stdout.readline() != b"ready\n":  # what it takes from then on counts
            raise FaultError(f"no ballast in {self._group}: it ended with status {self._ballast.wait()}")
        self._kills_before = memory_groups.oom_kills(self._group)
        self._kills_told_before = self._kills_told()
        (self._group / "cgroup.procs").write_text(str(self._ballast.pid))
        self.held_bytes = memory_groups.usage_bytes(self._group)
        self._file.write_text(str(self.held_bytes + self._headroom_bytes))
        _begin(self._ballast)

        def killed() -> bool:
            """The group's own count, or the victim's end where that took the group with it."""
            if victim.alive:
                return False
            try:
                return memory_groups.oom_kills(self._group) > self._kills_before
            except FileNotFoundError:
                return True

        what = f"the kernel to kill in {self._group}"
        wait_for(killed, what=what, within_s=_KILL_WITHIN_S, every_s=0.01)
        self.lift()

    def kills(self) -> int:
        """As `MemoryLimit.kills`; a container's end is told a moment later."""
        with contextlib.suppress(NotInTime):
            wait_for(lambda: self._since() > 0, what="a kill to be told", within_s=5)
        return self._since()

    def told(self) -> str:
        """As `MemoryLimit.told`."""
        return f"{self.kills()} kills by the kernel in {self._group.name}"

    def lift(self) -> None:
        """As `MemoryLimit.lift`."""
        _end(self._ballast)
        self._ballast = None
        with contextlib.suppress(OSError):  # a container's group ends with it
            self._file.write_text(self._unlimited)

    def _since(self) -> int:
        return self._kills_told() - self._kills_told_before


class KeptLimit:
    """Kept by servedrill: see `servedrill.faults.kept_limit`. It proves a kill at a limit, and what followed it."""

    def __init__(self, server: Identity, *, headroom_bytes: int, reason: str) -> None:
        """``server``: the replica's first process, all others are below it; ``reason``: why there is no cgroup."""
        self.by = f"servedrill ({reason})"
        self._headroom_bytes = headroom_bytes
        self._family = [one for pid in family(server.pid) if (one := identify(pid)) is not None]
        self._ballast: subprocess.Popen[bytes] | None = None
        self._marked = Marked()
        self._killed: Killed | None = None
        self._limit_bytes = 0
        self.held_bytes = 0

    def undo(self) -> list[Undo]:
        """As `MemoryLimit.undo`: the ballast is all there is."""
        return [self._marked.undo()]

    def exceed(self, victim: Identity) -> None:
        """As `MemoryLimit.exceed`."""
        self.held_bytes = sum(resident_bytes(one.pid) for one in self._family)
        self._limit_bytes = self.held_bytes + self._headroom_bytes
        family = [f"{one.pid}:{one.start_ticks}" for one in self._family]
        ballast = [sys.executable, "-m", "servedrill.faults.kept_limit", _most(self._headroom_bytes)]
        command = [*ballast, str(self._limit_bytes), *family]
        self._ballast = self._marked.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        _begin(self._ballast)
        assert self._ballast.stdout is not None
        line = self._ballast.stdout.readline()
        if not line:
            raise FaultError(f"the ballast ended before the limit of {self._limit_bytes / _MIB:.0f} MiB was reached")
        self._killed = msgspec.json.decode(line, type=Killed)
        if self._killed.pid != victim.pid:
            raise FaultError(f"pid {self._killed.pid} had the highest oom_score, and not the core, pid {victim.pid}")
        wait_for(lambda: not victim.alive, what=f"the end of pid {victim.pid}", within_s=_KILL_WITHIN_S, every_s=0.01)
        self.lift()

    def kills(self) -> int:
        """As `MemoryLimit.kills`."""
        return int(self._killed is not None)

    def told(self) -> str:
        """As `MemoryLimit.told`."""
        if self._killed is None:
            return f"nobody killed; limit kept by {self.by}"
        used, limit = self._killed.used_bytes / _MIB, self._limit_bytes / _MIB
        return f"pid {self._killed.pid} killed with {used:.1f} MiB used of {limit:.1f}; limit kept by {self.by}"

    def lift(self) -> None:
        """As `MemoryLimit.lift`."""
        _end(self._ballast)
        self._ballast = None


def _most(headroom_bytes: int) -> str:
    """MiB that a ballast takes at most, should nobody be killed."""
    return str(4 * headroom_bytes // _MIB)


def _begin(ballast: subprocess.Popen[bytes]) -> None:
    assert ballast.stdin is not None
    ballast.stdin.write(b"grow\n")
    ballast.stdin.flush()


def _end(ballast: subprocess.Popen[bytes] | None) -> None:
    if ballast is not None:
        ballast.kill()
        ballast.wait()
        for pipe in (ballast.stdin, ballast.stdout):
            if pipe is not None:
                pipe.close()
