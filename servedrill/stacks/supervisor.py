"""Keeps the commands of a process stack running: a program of its own, ``python -m servedrill.stacks.supervisor``.

It adopts what its children leave behind, so everything that a command ever started is below this one process: who ends
it and its descendants has ended the stack. Its plan is the first line of its standard input, never a file: commands and
environment may hold keys. That input is a pipe that only the starter holds; its end ends everything here, too.

    GET  /processes                 name, role, pid, starts, last_exit
    POST /processes/NAME/start      the first start; from then on it is kept running as its policy says
    POST /processes/NAME/restart    SIGTERM, and started again when it has ended
    PUT  /processes/NAME            another command and environment, from the next start on

Whoever can call these runs commands as who started this, so each asks for the secret that came with the plan.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from servedrill.control.guard import guarded
from servedrill.control.listen import listen
from servedrill.host import processes
from servedrill.host.launch import tied
from servedrill.host.prctl import adopt_orphans
from servedrill.secrecy.crashes import hide_crashes
from servedrill.secrecy.known import KNOWN
from servedrill.secrecy.lines import LogPipe

_GONE_WITHIN_S = 10.0


class Restart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether and when a process that ended is started again; the wait doubles with each end in the last minute."""

    policy: Literal["always", "on-failure", "never"] = "on-failure"
    backoff_s: Annotated[float, msgspec.Meta(ge=0, le=1e7)] = 0.5
    backoff_max_s: Annotated[float, msgspec.Meta(ge=0, le=1e7)] = 8.0

    def delay_s(self, status: int, recent_exits: int) -> float | None:
        """Seconds to wait; None: never again."""
        if self.policy == "never" or (self.policy == "on-failure" and status == 0):
            return None
        return float(min(self.backoff_max_s, self.backoff_s * 2.0 ** (recent_exits - 1)))


class Planned(msgspec.Struct, kw_only=True):
    """One command, nothing left to fill in; ``env`` is added to the supervisor's own."""

    name: str
    role: str
    command: list[str]
    env: dict[str, str]
    folder: str
    log: str
    restart: Restart = Restart()
    memory_group: str = ""


class Plan(msgspec.Struct, kw_only=True):
    """What the supervisor is told to keep."""

    control_port: int
    secret: str
    processes: list[Planned]
    nice: int = 0
    """Of everything here together against the rest of the machine, as `nice(1)` counts."""
    secrets: list[str] = []
    """What may not be written into logs."""


class Kept:
    """One process: started, waited for, cleaned up after, started again."""

    def __init__(self, planned: Planned) -> None:
        self.planned = planned
        self.pid: int | None = None
        self.starts = 0
        self.last_exit = ""
        self.exits: list[float] = []
        self.asked_to_restart = False
        self.task: asyncio.Task[None] | None = None
        self._log: _Log | None = None

    async def keep(self) -> None:
        """Until the policy says never again."""
        while True:
            status = await self.live()
            now = time.monotonic()
            self.exits = [at for at in self.exits if now - at < 60] + [now]
            print(f"{self.planned.name} ended: {self.last_exit}", flush=True)
            if self.asked_to_restart:
                self.asked_to_restart = False
                continue
            delay_s = self.planned.restart.delay_s(status, len(self.exits))
            if delay_s is None:
                return
            await asyncio.sleep(delay_s)

    async def live(self) -> int:
        """One life; returns its exit status, as `subprocess` has it, when nothing of its process group is left."""
        planned = self.planned
        log = self._log = _Log(planned.log)
        try:
            process = await asyncio.create_subprocess_exec(
                *tied(planned.command, memory_group=planned.memory_group),
                env=os.environ | planned.env,
                cwd=planned.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log.inlet,
                stderr=log.inlet,
                # Not a session: the kernel shares the CPU out by sessions, and nice values count within one only.
                process_group=0,
            )
        finally:
            log.begun()
        self.pid, self.starts = process.pid, self.starts + 1
        status = await process.wait()
        log.look()  # its last words are there before anybody is told of its end
        self.last_exit = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        group, self.pid = self.pid, None
        until = time.monotonic() + _GONE_WITHIN_S
        while not _group_gone(group) and time.monotonic() < until:
            await asyncio.sleep(0.02)
        return status

    async def end_gracefully(self) -> None:
        """SIGTERM; `keep` goes on when it has ended."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGTERM)

    def end(self) -> None:
        """Nothing of it is left afterwards."""
        if self._log is not None:
            self._log.look()

    def view(self) -> dict[str, object]:
        """What is told of it over HTTP."""
        return {
            "name": self.planned.name,
            "role": self.planned.role,
            "pid": self.pid,
            "starts": self.starts,
            "last_exit": self.last_exit,
            "over": self.task is not None and self.task.done(),
        }


class _Log:
    """What a process says, written down without secrets for as long as anybody of it lives."""

    def __init__(self, path: str) -> None:
        self._pipe: LogPipe | None = LogPipe(Path(path))
        self.inlet = self._pipe.inlet
        asyncio.get_running_loop().add_reader(self._pipe.outlet, self.look)

    def begun(self) -> None:
        """The process has the inlet, or there is none."""
        os.close(self.inlet)

    def look(self) -> None:
        """Take what has come."""
        if self._pipe is not None:
            outlet = self._pipe.outlet
            if not self._pipe.take():
                asyncio.get_running_loop().remove_reader(outlet)
                self._pipe = None


def _group_gone(group: int) -> bool:
    """End what is left of a process group, collect its dead, and say whether nothing is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


class Supervisor:
    """The control API."""

    def __init__(self, kept: Iterable[Kept], planned: type[Planned] = Planned) -> None:
        self.kept = {one.planned.name: one for one in kept}
        self._planned = planned

    async def processes(self, http: web.Request) -> web.Response:
        """GET /processes."""
        return web.json_response([kept.view() for kept in self.kept.values()])

    async def start(self, http: web.Request) -> web.Response:
        """POST /processes/NAME/start."""
        kept = self._named(http)
        if kept.task is None or kept.task.done():
            kept.task = asyncio.create_task(kept.keep())
        return web.json_response(kept.view())

    async def restart(self, http: web.Request) -> web.Response:
        """POST /processes/NAME/restart."""
        kept = self._named(http)
        if kept.pid is not None:
            kept.asked_to_restart = True
            await kept.end_gracefully()
        elif kept.task is None or kept.task.done():
            kept.task = asyncio.create_task(kept.keep())
        return web.json_response(kept.view())

    async def change(self, http: web.Request) -> web.Response:
        """PUT /processes/NAME."""
        kept = self._named(http)
        kept.planned = msgspec.json.decode(await http.read(), type=self._planned)
        return web.json_response(kept.view())

    def _named(self, http: web.Request) -> Kept:
        kept = self.kept.get(http.match_info["name"])
        if kept is None:
            raise web.HTTPNotFound(text=f"no process {http.match_info['name']!r}")
        return kept

    def app(self, secret: str) -> web.Application:
        """The routes, for whoever has ``secret``."""
        app = guarded(secret)
        app.add_routes(
            [
                web.get("/processes", self.processes),
                web.post("/processes/{name}/start", self.start),
                web.post("/processes/{name}/restart", self.restart),
                web.put("/processes/{name}", self.change),
            ]
        )
        return app

    def end(self) -> None:
        """SIGKILL to everything below; what escaped its process group was adopted, and is below."""
        for pid in processes.family(os.getpid())[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for kept in self.kept.values():
            kept.end()


async def serve(supervisor: Supervisor, *, control_port: int, secret: str) -> None:
    """Until a signal, or the end of standard input."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4096) else over.set())
    await listen(supervisor.app(secret), port=control_port)
    await over.wait()
    supervisor.end()


def main() -> int:
    """Keep the commands of the plan on standard input until that ends; the exit status."""
    try:
        adopt_orphans()
    except OSError as error:
        print(f"supervisor: {error}: what commands leave behind is not adopted", flush=True)
    try:
        plan = msgspec.json.decode(first_line(), type=Plan)
        KNOWN.learn(*plan.secrets)
        hide_crashes()
        step_back(plan.nice)
        supervisor = Supervisor(map(Kept, plan.processes))
        asyncio.run(serve(supervisor, control_port=plan.control_port, secret=plan.secret))
    except (OSError, msgspec.MsgspecError) as error:
        print(f"supervisor: {error}", file=sys.stderr)
        return 4
    os._exit(0)


def step_back(nice: int) -> None:
    """Give this session, and so everything below, a smaller share of busy cores: nothing to do for 0.

    Where the kernel shares cores out by sessions (sched_autogroup), a session has a niceness; elsewhere processes do.
    """
    if nice:
        try:
            Path("/proc/self/autogroup").write_text(str(nice))
        except OSError:
            os.nice(nice)


def first_line() -> bytes:
    """Read from the descriptor itself: a buffer would swallow the end of the pipe."""
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(sys.stdin.fileno(), 1 << 16)
        if not more:
            break
        line += more
    return line


if __name__ == "__main__":
    sys.exit(main())
