"""Memory faults: a limit, and a ballast inside it that grows until somebody has to be killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from servedrill.errors import FaultError
from servedrill.faults.fault import Evidence
from servedrill.faults.figures import whole
from servedrill.faults.memory_limit import KeptLimit, KernelLimit, MemoryLimit
from servedrill.faults.process import _ProcessFault
from servedrill.leases.undo import Undo
from servedrill.stacks.protocols import MemoryLimited


class MemoryBallast(_ProcessFault):
    """The replica gets a memory limit ``headroom_bytes`` above what it holds, and a process that takes more than that.

    In a memory cgroup the kernel kills, the replica's core first, as that asked to be preferred. Where the system
    allows no cgroup servedrill keeps the limit itself, and says so. Healing ends the ballast, lifts the limit and waits
    for a new process that serves.
    """

    name = "memory_ballast"

    def __init__(
        self, stack: Any, replica: str, *, headroom_bytes: int = 16 << 20, back_within_s: float | None = None
    ) -> None:
        whole(
            1 << 20, 1 << 36, headroom_bytes=headroom_bytes
        )  # the ballast takes four times that, should nobody be killed
        super().__init__(stack, replica, part="core", back_within_s=back_within_s)
        if not isinstance(stack, MemoryLimited):
            raise FaultError(f"{stack.name} has no memory limits")
        self._memory: MemoryLimited = stack
        self._headroom = headroom_bytes
        self._limit: MemoryLimit | None = None

    @property
    def by_kernel(self) -> bool:
        """Whether the kernel kills: whoever looks after the replica can then tell why it ended."""
        return bool(self._memory.memory_group(self.target))

    def undo(self) -> list[Undo]:
        """Lift the limit and end the ballast."""
        self._find()
        if self.by_kernel:
            group = Path(self._memory.memory_group(self.target))
            self._limit = KernelLimit(
                group, headroom_bytes=self._headroom, kills_told=lambda: self._memory.oom_kills(self.target)
            )
        else:
            server = self._stack.process(self.target, "server")
            if server is None:
                raise FaultError(f"{self.target} has no running server")
            self._limit = KeptLimit(server, headroom_bytes=self._headroom, reason=self._memory.no_memory_group())
        self.attributes["limit"] = f"kept by {self._limit.by}"
        return self._limit.undo()

    def inject(self) -> None:
        """Set the limit and let the ballast grow, until somebody was killed. Raises `NotInTime` and `FaultError`."""
        assert self._limit is not None and self._victim is not None
        self._limit.exceed(self._victim)
        held = self._limit.held_bytes
        self.attributes |= {"held_bytes": held, "limit_bytes": held + self._headroom}

    def evidence(self) -> Evidence:
        """There was a kill at the limit, and the core is gone."""
        assert self._limit is not None and self._victim is not None
        kills, gone = self._limit.kills(), not self._victim.alive
        return Evidence(
            proven=kills > 0 and gone,
            observed=f"{self._limit.told()}; core pid {self._victim.pid} is {'gone' if gone else 'alive'}"
            f"{self._last_exit()}",
            figures={"oom_kills": float(kills), "limit_bytes": float(self.attributes.get("limit_bytes", 0))},
        )

    def heal(self) -> Evidence:
        """Lift the limit; another process serves."""
        assert self._limit is not None
        self._limit.lift()
        return self._serving_again()

    def _last_exit(self) -> str:
        """How whoever looks after the replica tells its end: a container's has OOMKilled in it."""
        exits = [view["last_exit"] for view in self._stack.processes() if view["name"] == self.target]
        return f"; {self.target} ended: {exits[0]}" if exits and exits[0] else ""
