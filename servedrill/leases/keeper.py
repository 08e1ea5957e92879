"""Keeps what a stack makes in the ledger, so that the watchdog can end it when nobody else does."""

from __future__ import annotations

import itertools
from pathlib import Path

from servedrill.host.processes import identify
from servedrill.leases.guard import Guard
from servedrill.leases.shield import shielded
from servedrill.leases.undo import EndProcess, HttpCall, RemoveContainers, RemoveMemoryGroup, Undo

_numbers = itertools.count(1)


class StackKeeper:
    """Told of every process, memory group and proxy that a stack makes; `close` when the stack is down."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._leases: list[str] = []

    def process(self, pid: int) -> None:
        """A process was started."""
        identity = identify(pid)
        if identity is not None:
            self._keep("process", [EndProcess(pid=identity.pid, start_ticks=identity.start_ticks)])

    def memory_group(self, path: Path) -> None:
        """A memory cgroup was made."""
        self._keep("memory-group", [RemoveMemoryGroup(path=str(path))])

    def containers(self, engine: str, label: str) -> None:
        """Containers and networks with this label are about to be made."""
        self._keep("containers", [RemoveContainers(socket=engine, label=label)])

    def proxy(self, address: str, name: str) -> None:
        """A proxy is about to be made on a fault proxy server that is not ours."""
        self._keep("proxy", [HttpCall(address=address, method="DELETE", path=f"/proxies/{name}")])

    def close(self) -> None:
        """Everything is gone by now."""
        with shielded():
            for lease in self._leases:
                self._guard.ledger.close_lease(lease)
            self._leases.clear()

    def _keep(self, kind: str, undo: list[Undo]) -> None:
        lease = f"stack-{kind}-{next(_numbers)}"
        self._guard.ledger.open(lease, undo)
        self._leases.append(lease)
