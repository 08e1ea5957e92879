"""Keeps the containers of a docker stack running: a program of its own, ``python -m servedrill.stacks.containers``.

The same control API and the same restart policies as `servedrill.stacks.supervisor`, over a Docker Engine on this
machine. What it makes carries `LABEL`, and is removed when it ends, or by the watchdog when it cannot. A container that
was there before is looked after while the drill runs (its deaths are seen, it can be restarted), and never removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import msgspec
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from servedrill.secrecy.crashes import hide_crashes
from servedrill.secrecy.known import KNOWN, hidden, text
from servedrill.secrecy.lines import Lines
from servedrill.stacks.supervisor import Kept, Planned, Supervisor, first_line, serve

LABEL = "servedrill.run"


class PlannedContainer(Planned, kw_only=True):
    """One container, nothing left to fill in."""

    image: str = ""
    port: int = 0
    """Inside, and on this machine's loopback."""
    mounts: list[str] = msgspec.field(default_factory=list)
    memory: str = ""
    existing: str = ""
    """The id of one that was there before: neither made nor removed."""


class ContainerPlan(msgspec.Struct, kw_only=True):
    """What is to be kept, on which network, and the label's value."""

    control_port: int
    secret: str
    run: str
    network: str
    containers: list[PlannedContainer]
    secrets: list[str] = []
    """What may not be written into logs."""


class KeptContainer(Kept):
    """One container: made for each life, so that a changed command counts from the next start on."""

    planned: PlannedContainer

    def __init__(self, planned: PlannedContainer, *, client: docker.DockerClient, plan: ContainerPlan) -> None:
        super().__init__(planned)
        self.client, self.run, self.network = client, plan.run, plan.network
        self.container: Container | None = None
        self.oom_kills = 0

    async def live(self) -> int:
        """One life, from its start to the end of the container; its exit status."""
        try:
            container = await asyncio.to_thread(self._begin)
        except APIError as error:
            self.last_exit = f"not started: {text(str(error.explanation or error))}"
            return 125  # as the docker command says it
        threading.Thread(target=self._copy_log, args=(container,), daemon=True).start()
        await asyncio.to_thread(container.wait)
        self.pid = None
        state = await asyncio.to_thread(self._state)
        status = int(state.get("ExitCode", 0))
        if state.get("OOMKilled"):
            self.oom_kills += 1
            self.last_exit = f"OOMKilled, exit status {status}"
        else:
            killed = 128 < status < 160
            self.last_exit = f"signal {signal.Signals(status - 128).name}" if killed else f"exit status {status}"
        return status

    async def end_gracefully(self) -> None:
        """SIGTERM; `keep` goes on when it has ended."""
        assert self.container is not None
        with contextlib.suppress(APIError):
            await asyncio.to_thread(self.container.kill, "SIGTERM")

    def end(self) -> None:
        """Remove it, unless it was there before us."""
        if self.container is not None and not self.planned.existing:
            with contextlib.suppress(NotFound):
                self.container.remove(force=True, v=True)

    def view(self) -> dict[str, object]:
        """As `Kept.view`, with its id and how often the kernel killed in it for want of memory."""
        return super().view() | {
            "container": self.container.id if self.container else "",
            "oom_kills": self.oom_kills,
        }

    def _begin(self) -> Container:
        planned = self.planned
        if planned.existing:
            self.container = self.client.containers.get(planned.existing)
            if self.starts or self.container.status != "running":
                self.container.start()
        else:
            self.end()
            self.container = self._made()
            self.container.start()
        self.container.reload()
        self.pid, self.starts = self.container.attrs["State"]["Pid"] or None, self.starts + 1
        return self.container

    def _made(self) -> Container:
        planned = self.planned
        return self.client.containers.create(
            planned.image,
            planned.command or None,
            name=f"servedrill-{self.run}-{planned.name}",
            hostname=planned.name,
            labels={LABEL: self.run},
            environment=planned.env,
            network=self.network,
            networking_config={self.network: self.client.api.create_endpoint_config(aliases=[planned.name])},
            ports={f"{planned.port}/tcp": ("127.0.0.1", planned.port)} if planned.port else {},
            volumes=planned.mounts,
            mem_limit=planned.memory or None,
            memswap_limit=planned.memory or None,
            init=False,
        )

    def _state(self) -> dict[str, Any]:
        assert self.container is not None
        with contextlib.suppress(NotFound):
            self.container.reload()
            return dict(self.container.attrs["State"])
        return {}

    def _copy_log(self, container: Container) -> None:
        lines = Lines()
        with Path(self.planned.log).open("ab", buffering=0) as log, contextlib.suppress(DockerException, OSError):
            for chunk in container.logs(stream=True, follow=True, tail=0 if self.planned.existing else "all"):
                log.write(lines.feed(chunk))
            log.write(lines.end())


def clean(client: docker.DockerClient, run: str) -> None:
    """Remove everything that carries the run's label; nothing to do a second time."""
    mine = {"label": f"{LABEL}={run}"}
    for container in client.containers.list(all=True, filters=mine, ignore_removed=True):
        with contextlib.suppress(NotFound):
            container.remove(force=True, v=True)
    for network in client.networks.list(filters=mine):
        with contextlib.suppress(NotFound):
            network.remove()
    for volume in client.volumes.list(filters=mine):
        with contextlib.suppress(NotFound):
            volume.remove(force=True)


def main() -> int:
    """Keep the containers of the plan on standard input until that ends; the exit status."""
    try:
        plan = msgspec.json.decode(first_line(), type=ContainerPlan)
        KNOWN.learn(*plan.secrets)
        hide_crashes()
        client = docker.from_env(timeout=600)  # waiting for a container's end is one long answer
        kept = [KeptContainer(planned, client=client, plan=plan) for planned in plan.containers]
        asyncio.run(_keep(Supervisor(kept, PlannedContainer), plan))
    except (OSError, msgspec.MsgspecError, DockerException) as error:
        print(f"containers: {hidden(str(error))}", file=sys.stderr)
        return 4
    return 0


async def _keep(supervisor: Supervisor, plan: ContainerPlan) -> None:
    """Until the end of standard input; then nothing is waited for but the removal of what was made."""
    waits = 4 * len(plan.containers) + 4  # each life is one wait for the engine's answer
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(waits))
    await serve(supervisor, control_port=plan.control_port, secret=plan.secret)
    clean(docker.from_env(), plan.run)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
