"""What can be done to a stack whose replicas are processes of this machine, whoever keeps them running."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from servedrill.host import gpu, memory_groups
from servedrill.host.clock import wait_for
from servedrill.host.processes import ProcessId
from servedrill.leases.keeper import UndoKeeper
from servedrill.leases.undo import RemoveMemoryGroup
from servedrill.stacks.keeper import SupervisorApi
from servedrill.stacks.protocols import Part
from servedrill.stacks.proxies import Proxies

_EMPTY_WITHIN_S = 10.0


class MemoryGroups:
    """A memory cgroup for each replica that was asked for, on record before it is made."""

    def __init__(self, on_undo: UndoKeeper) -> None:
        self._on_undo = on_undo
        self._paths: dict[str, Path] = {}
        self.refused = "no memory group was asked for"
        """Why there are none, where there are none."""

    def make(self, replicas: Iterable[str], *, run: str) -> None:
        """``run`` keeps their names apart from those of others. Where the system allows none, `refused` says why."""
        for replica in replicas:
            try:
                group = memory_groups.place(f"servedrill-{run}-{replica}")
                self._on_undo.keep("memory-group", RemoveMemoryGroup(path=str(group)))
                memory_groups.make(group)
            except memory_groups.NoMemoryGroup as error:
                self.refused = str(error)
                return
            self._paths[replica] = group

    def paths(self) -> dict[str, str]:
        """Replica -> directory."""
        return {replica: str(path) for replica, path in self._paths.items()}

    def of(self, replica: str) -> Path | None:
        """The directory; None where it has none."""
        return self._paths.get(replica)

    def remove(self) -> None:
        """When nothing runs in them any more; nothing to do a second time."""
        for group in self._paths.values():
            with contextlib.suppress(FileNotFoundError):  # the watchdog may have come before us
                wait_for(partial(memory_groups.is_empty, group), what=f"{group} to be empty", within_s=_EMPTY_WITHIN_S)
                group.rmdir()
        self._paths.clear()


class OnThisMachine:
    """`Signallable`, `OnCores`, `Supervised`, `MemoryLimited` and `Gpu`, for a stack that says who keeps a replica, and
    which process it is."""

    _groups: MemoryGroups
    _proxies: Proxies

    def _keeper_of(self, replica: str) -> SupervisorApi:
        raise NotImplementedError

    def _all_keepers(self) -> Iterable[SupervisorApi]:
        raise NotImplementedError

    def process(self, replica: str, part: Part = "server") -> ProcessId | None:
        """As `Signallable.process`."""
        raise NotImplementedError

    def processes(self) -> list[dict[str, Any]]:
        """As `Signallable.processes`."""
        return [view for keeper in self._all_keepers() for view in keeper.views()]

    def on_cores(self) -> dict[str, int]:
        """As `OnCores.on_cores`."""
        kept = {view["name"]: view["pid"] for view in self.processes() if view["pid"]}
        return kept | ({"fault proxy": self._proxies.pid} if self._proxies.pid else {})

    def control_urls(self) -> list[str]:
        """Where whoever keeps its processes lists, starts and restarts them."""
        return [keeper.url for keeper in self._all_keepers()]

    def signal(self, replica: str, number: int, part: Part = "server") -> None:
        """As `Signallable.signal`."""
        identity = self.process(replica, part)
        if identity is None:
            raise LookupError(f"{replica} has no running {part}")
        os.kill(identity.pid, number)

    def restart(self, replica: str) -> None:
        """As `Supervised.restart`."""
        self._keeper_of(replica).restart(replica)

    def starts(self, replica: str) -> int:
        """As `Supervised.starts`."""
        return int(self._keeper_of(replica).view(replica)["starts"])

    def memory_group(self, replica: str) -> str:
        """As `MemoryLimited.memory_group`."""
        return str(self._groups.of(replica) or "")

    def no_memory_group(self) -> str:
        """As `MemoryLimited.no_memory_group`."""
        return self._groups.refused

    def oom_kills(self, replica: str) -> int:
        """As `MemoryLimited.oom_kills`."""
        group = self._groups.of(replica)
        return memory_groups.oom_kills(group) if group is not None else 0

    def gpus(self) -> list[gpu.Gpu]:
        """As `servedrill.stacks.protocols.Gpu.gpus`."""
        return gpu.read_gpus()
