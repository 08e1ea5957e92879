"""The supervisor: keeps the processes of the stack running, and carries out restarts and rollouts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from servedrill.refstack.config import Stack
from servedrill.refstack.control.rollout import Rollouts
from servedrill.refstack.control.supervised import Supervised
from servedrill.refstack.policies import Policies
from servedrill.refstack.process import adopt_orphans, set_name

log = logging.getLogger("refstack")


def main(stack: Stack, config: Path) -> int:
    """Until SIGTERM or SIGINT; every other process of the stack ends with this one."""
    set_name("supervisor")
    adopt_orphans()
    return uvloop.run(_serve(stack, config))


class Supervisor:
    """Control API: GET /stack, GET /processes, POST /processes/NAME/restart, POST and GET /rollouts, GET /aliases."""

    def __init__(self, stack: Stack, config: Path, policies: Policies, session: aiohttp.ClientSession) -> None:
        self.stack = stack
        restart = policies.make("restart", backoff_s=stack.restart_backoff_s, backoff_max_s=stack.restart_backoff_max_s)
        roles = [
            ("alerts", "alerts"),
            *(("engine", e.name) for e in stack.engines),
            *(("gateway", g.name) for g in stack.gateways),
        ]
        if stack.dns_port:
            roles.append(("dns", "dns"))
        life, self._life = os.pipe()
        self.processes = {
            name: Supervised(stack, config, role=role, name=name, restart=restart, life=life) for role, name in roles
        }
        self.rollouts = Rollouts(stack, policies.make("canary", stack), session)

    async def describe(self, http: web.Request) -> web.Response:
        """The file that this stack runs by, defaults filled in: what it promises."""
        return web.Response(body=msgspec.json.encode(self.stack), content_type="application/json")

    async def list_processes(self, http: web.Request) -> web.Response:
        return web.json_response([process.view() for process in self.processes.values()])

    async def restart_process(self, http: web.Request) -> web.Response:
        """SIGTERM; the process drains, ends and is started again."""
        process = self.processes.get(http.match_info["name"])
        if process is None or process.pid is None:
            return web.json_response({"error": f"no running process {http.match_info['name']!r}"}, status=404)
        os.kill(process.pid, signal.SIGTERM)
        return web.json_response(process.view())

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/stack", self.describe),
                web.get("/processes", self.list_processes),
                web.post("/processes/{name}/restart", self.restart_process),
                *self.rollouts.routes(),
            ]
        )
        return app


async def _serve(stack: Stack, config: Path) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        supervisor = Supervisor(stack, config, Policies(stack.defects), session)
        runner = web.AppRunner(supervisor.app(), handle_signals=False, access_log=None)
        await runner.setup()
        await web.TCPSite(
            runner, stack.control_host, stack.control_port, reuse_address=True, shutdown_timeout=0.2
        ).start()
        tasks = [loop.create_task(process.run()) for process in supervisor.processes.values()]
        await stopped.wait()
        for task in tasks:
            task.cancel()
        for process in supervisor.processes.values():
            if process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        os._exit(0)
