"""One process that the supervisor keeps running."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from servedrill.refstack.config import Stack
from servedrill.refstack.control.memory_group import oom_kills

log = logging.getLogger("refstack")


class Supervised:
    """Starts it, waits for its end, lets the restart policy clean up and decide, starts it again."""

    def __init__(self, stack: Stack, config: Path, *, role: str, name: str, restart: Any, life: int) -> None:
        self.life = life
        """Read end of a pipe that only the supervisor writes to: its end tells every process below that the supervisor is gone."""
        self.stack, self.config, self.role, self.name, self.restart = stack, config, role, name, restart
        self.pid: int | None = None
        self.starts = 0
        self.exits: list[float] = []
        self.last_exit = ""
        self.memory_group = stack.memory_groups.get(name, "")

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
        """One life, from start to a clean grave; the exit status as `subprocess` has it."""
        command = [
            sys.executable,
            "-m",
            "servedrill.refstack",
            "--config",
            str(self.config),
            "--parent",
            str(os.getpid()),
            self.role,
            self.name,
        ]
        with (Path(self.stack.log_dir) / f"{self.name}.log").open("ab") as log_file:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=self.life, stdout=log_file, stderr=log_file, start_new_session=True
            )
        self.pid, self.starts = process.pid, self.starts + 1
        status = await process.wait()
        group, self.pid = self.pid, None
        self.restart.reap(group)
        until = time.monotonic() + 5
        while True:
            _reap_adopted(group)
            if self.restart.gone(group) or time.monotonic() > until:
                return status
            await asyncio.sleep(0.01)

    def view(self) -> dict[str, object]:
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
