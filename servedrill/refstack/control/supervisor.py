"""The supervisor: keeps the processes of the stack running.

Its HTTP server is imported after the engines were started, as they take longest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import uvloop

from servedrill.refstack.config import Stack
from servedrill.refstack.control.nursery import Nursery
from servedrill.refstack.control.supervised import Supervised
from servedrill.refstack.policies import Policies
from servedrill.refstack.process import adopt_orphans, log_to_stderr, set_name
from servedrill.refstack.secret import control_secret


def main(stack: Stack, run: Callable[[str, str], int]) -> int:
    """Until SIGTERM or SIGINT; every other process of the stack ends with this one.

    ``run(role, name)`` is what one of them does; it returns the exit status.
    """
    set_name("supervisor")
    adopt_orphans()
    control_secret()  # before the first fork: all processes of the stack have the same
    nursery = Nursery(run, Path(stack.log_dir))
    log_to_stderr("supervisor")
    return uvloop.run(_serve(stack, nursery))


class Supervisor:
    """The processes of the stack, by name."""

    def __init__(self, stack: Stack, nursery: Nursery, policies: Policies) -> None:
        restart = policies.make("restart", backoff_s=stack.restart_backoff_s, backoff_max_s=stack.restart_backoff_max_s)
        roles = [
            ("alerts", "alerts"),
            *(("engine", e.name) for e in stack.engines),
            *(("gateway", g.name) for g in stack.gateways),
        ]
        if stack.dns_port:
            roles.append(("dns", "dns"))
        groups = stack.memory_groups
        self.processes = {
            name: Supervised(nursery, role=role, name=name, restart=restart, memory_group=groups.get(name, ""))
            for role, name in roles
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, *roles: str) -> None:
        """Keep the processes of these roles running from now on; returns when each has been started once."""
        started = [process for process in self.processes.values() if process.role in roles]
        self._tasks += [asyncio.create_task(process.run()) for process in started]
        while not all(process.starts for process in started):
            await asyncio.sleep(0.001)

    def end(self) -> None:
        """Kill them all, and start none again."""
        for task in self._tasks:
            task.cancel()
        for process in self.processes.values():
            if process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


async def _serve(stack: Stack, nursery: Nursery) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    policies = Policies(stack.defects)
    supervisor = Supervisor(stack, nursery, policies)
    await supervisor.start("engine")

    from servedrill.refstack.control.api import control_api

    async with control_api(stack, supervisor.processes, policies):
        await supervisor.start("alerts", "gateway", "dns")
        await stopped.wait()
        supervisor.end()
        os._exit(0)
