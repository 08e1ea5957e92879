"""What tests of stacks share: who is told how to undo what a stack makes, and looks whether it is told in time."""

from __future__ import annotations

from typing import Any

import httpx

from servedrill.host.processes import ProcessId, family, identify, with_variable
from servedrill.leases.undo import MARK, EndMarked, HttpCall, RemoveContainers, RemoveMemoryGroup, Undo


class Remembering:
    """Keeps every undo in mind and carries none out; what is not of the ``kinds`` expected was not asked for."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds or ("process",)
        self.undo: list[Undo] = []

    def keep(self, kind: str, *undo: Undo) -> None:
        assert kind in self.kinds, f"no {kind} was asked for"
        assert undo
        for one in undo:
            if isinstance(one, HttpCall):
                assert proxies_at(one.address).get(one.path.removeprefix("/proxies/")) is None, "told before it is made"
            if isinstance(one, EndMarked):
                assert with_variable(f"{MARK}={one.mark}") == [], "told before it is there"
        self.undo += undo

    @property
    def processes(self) -> list[ProcessId]:
        """Processes that run and would be ended, each with all that it has started."""
        marks = [one.mark for one in self.undo if isinstance(one, EndMarked)]
        return [process for mark in marks for process in with_variable(f"{MARK}={mark}")]

    def family(self) -> list[ProcessId]:
        """Those processes, and all that they started."""
        pids = [below for one in self.processes for below in family(one.pid)]
        return [identity for pid in dict.fromkeys(pids) if (identity := identify(pid)) is not None]

    @property
    def proxies(self) -> list[tuple[str, str]]:
        """Proxies that would be removed: where, and which."""
        calls = [one for one in self.undo if isinstance(one, HttpCall)]
        assert all(one.method == "DELETE" for one in calls)
        return [(one.address, one.path.removeprefix("/proxies/")) for one in calls]

    @property
    def memory_groups(self) -> list[str]:
        """Memory cgroups that would be removed."""
        return [one.path for one in self.undo if isinstance(one, RemoveMemoryGroup)]

    @property
    def labels(self) -> list[str]:
        """Labels of containers that would be removed."""
        return [one.label for one in self.undo if isinstance(one, RemoveContainers)]


def proxies_at(address: str) -> dict[str, Any]:
    """Proxies of the server at ``host:port``."""
    return dict(httpx.get(f"http://{address}/proxies").json())
