"""One process that the supervisor keeps running."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from typing import Any

from servedrill.refstack.control.memory_group import oom_kills
from servedrill.refstack.control.nursery import Nursery

log = logging.getLogger("refstack")


class Supervised:
    """Starts it, waits for its end, lets the restart policy clean up and decide, starts it again."""

    def __init__(self, nursery: Nursery, *, role: str, name: str, restart: Any, memory_group: str) -> None:
        self.nursery, self.role, self.name, self.restart, self.memory_group = nursery, role, name, restart, memory_group
        self.pid: int | None = None
        self.starts = 0
        self.exits: list[float] = []
        self.last_exit = ""

    async def run(self) -> None:
        """For ever, or until the policy says never again."""
        while True:
            kills_before = oom_kills(self.memory_group) if self.memory_group else 0
            status = await self.run_once()
            killed = self.memory_group and oom_kills(self.memory_group) > kills_before
            self.last_exit = (
                "OOMKilled" if killed else f"signal {signal.Signals(-status).name}" if status < 0 else f"exit {status}"
            )
            now = time.monotonic()
            self.exits = [at for at in self.exits if now - at < 60] + [now]
            log.warning("%s ended: %s", self.name, self.last_exit)
            delay_s = self.restart.delay_s(name=self.name, recent_exits=len(self.exits))
            if delay_s is None:
                return
            await asyncio.sleep(delay_s)

    async def run_once(self) -> int:
        """Start it, wait for its end, clear its process group; the exit status as `subprocess` has it."""
        group = self.pid = await self.nursery.start(self.role, self.name)
        self.starts += 1
        status = await self.nursery.end_of(group)
        self.pid = None
        self.restart.reap(group)
        until = time.monotonic() + 5
        while True:
            _reap_adopted(group)
            if self.restart.gone(group) or time.monotonic() > until:
                return status
            await asyncio.sleep(0.01)

    def terminate(self, pid: int) -> None:
        """SIGTERM to this life of it, and SIGKILL when its grace period is over. Raises `ProcessLookupError`."""
        os.kill(pid, signal.SIGTERM)
        asyncio.get_running_loop().call_later(self.restart.grace_s(name=self.name), self._kill, pid)

    def _kill(self, pid: int) -> None:
        if self.pid == pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def view(self) -> dict[str, object]:
        """As GET /processes shows it; ``pid`` is None between two lives."""
        return {
            "name": self.name,
            "role": self.role,
            "pid": self.pid,
            "starts": self.starts,
            "last_exit": self.last_exit,
        }


def _reap_adopted(group: int) -> None:
    """Collect dead orphans of a process group, so that none stays as a zombie."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
