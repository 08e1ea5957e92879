"""Memory faults: a real limit, and a ballast inside it that grows until the kernel has to kill."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from servedrill.errors import FaultError, NotInTime
from servedrill.faults.fault import Evidence
from servedrill.faults.process import _ProcessFault
from servedrill.host import memory_groups
from servedrill.host.clock import wait_for
from servedrill.leases.undo import Undo, WriteFile, ending
from servedrill.stacks.protocols import MemoryLimited

_BALLAST = """
import sys, time
open('/proc/self/oom_score_adj', 'w').write('0')
sys.stdin.readline()
held = []
for _ in range(int(sys.argv[1])):
    held.append(bytearray(b'\\x5a') * (1 << 20))
    time.sleep(0.001)
sys.stdin.readline()
"""


class MemoryBallast(_ProcessFault):
    """The replica's memory group gets a limit ``headroom_bytes`` above what it holds, and a process in it that takes
    more than that.

    The kernel then kills in the group, the replica's core first, as that asked to be preferred. Healing ends the
    ballast, lifts the limit and waits for a new process that serves.
    """

    name = "memory_ballast"

    def __init__(
        self, stack: Any, replica: str, *, headroom_bytes: int = 16 << 20, back_within_s: float | None = None
    ) -> None:
        super().__init__(stack, replica, part="core", back_within_s=back_within_s)
        if not isinstance(stack, MemoryLimited):
            raise FaultError(f"{stack.name} has no memory limits")
        self._memory: MemoryLimited = stack
        self._headroom = headroom_bytes
        self._ballast: subprocess.Popen[bytes] | None = None
        self._kills_before = self._kills_told_before = 0

    def undo(self) -> list[Undo]:
        """Lift the limit and end the ballast, which starts here and takes nothing yet."""
        self._find()
        self._group = Path(self._memory.memory_group(self.target))
        self._limit = memory_groups.limit_file(self._group)
        self._unlimited = memory_groups.UNLIMITED[memory_groups.version_of(self._group)]
        self._ballast = subprocess.Popen(
            [sys.executable, "-c", _BALLAST, str((self._headroom >> 20) * 4)], stdin=subprocess.PIPE
        )
        return [WriteFile(path=str(self._limit), text=self._unlimited), *ending(self._ballast.pid)]

    def inject(self) -> None:
        """Set the limit and let the ballast grow, until the kernel has killed. Raises `NotInTime`."""
        assert self._ballast is not None and self._ballast.stdin is not None
        self._kills_before = memory_groups.oom_kills(self._group)
        self._kills_told_before = self._memory.oom_kills(self.target)
        (self._group / "cgroup.procs").write_text(str(self._ballast.pid))
        held = memory_groups.usage_bytes(self._group)
        self.attributes |= {"held_bytes": held, "limit_bytes": held + self._headroom}
        self._limit.write_text(str(held + self._headroom))
        self._ballast.stdin.write(b"grow\n")
        self._ballast.stdin.flush()
        wait_for(self._killed, what=f"the kernel to kill in {self._group}", within_s=10, every_s=0.01)
        self._end_ballast()
        self._lift()

    def evidence(self) -> Evidence:
        """The kernel has counted a kill in the group, and the core is gone."""
        assert self._victim is not None
        with contextlib.suppress(NotInTime):  # a container's end is told a moment later
            wait_for(lambda: self._kills_told() > 0, what=f"a kill in {self.target} to be told", within_s=5)
        kills, gone = self._kills_told(), not self._victim.alive
        return Evidence(
            proven=kills > 0 and gone,
            observed=f"{kills} kills by the kernel in {self._group.name}; core pid {self._victim.pid} is "
            f"{'gone' if gone else 'alive'}{self._last_exit()}",
            figures={"oom_kills": float(kills), "limit_bytes": float(self.attributes.get("limit_bytes", 0))},
        )

    def heal(self) -> Evidence:
        """Lift the limit; another process serves."""
        self._end_ballast()
        self._lift()
        return self._serving_again()

    def _killed(self) -> bool:
        """The group's own count, or the victim's end where that took the group with it."""
        assert self._victim is not None
        if self._victim.alive:
            return False
        try:
            return memory_groups.oom_kills(self._group) > self._kills_before
        except FileNotFoundError:
            return True

    def _last_exit(self) -> str:
        """How whoever looks after the replica tells its end: a container's has OOMKilled in it."""
        exits = [view["last_exit"] for view in self._stack.processes() if view["name"] == self.target]
        return f"; {self.target} ended: {exits[0]}" if exits and exits[0] else ""

    def _kills_told(self) -> int:
        return self._memory.oom_kills(self.target) - self._kills_told_before

    def _lift(self) -> None:
        with contextlib.suppress(OSError):  # a container's group ends with it
            self._limit.write_text(self._unlimited)

    def _end_ballast(self) -> None:
        if self._ballast is not None:
            self._ballast.kill()
            self._ballast.wait()
            assert self._ballast.stdin is not None
            self._ballast.stdin.close()
            self._ballast = None
