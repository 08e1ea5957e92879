"""The supervisor's HTTP API: what runs, restarts, rollouts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

import msgspec
from aiohttp import web

from servedrill.refstack.config import Stack
from servedrill.refstack.control.rollout import Rollouts, own_connections
from servedrill.refstack.control.supervised import Supervised
from servedrill.refstack.listen import listen
from servedrill.refstack.policies import Policies


@contextlib.asynccontextmanager
async def control_api(stack: Stack, processes: Mapping[str, Supervised], policies: Policies) -> AsyncIterator[None]:
    """Served inside the block; ``processes`` by name.

    GET /stack, GET /processes, POST /processes/NAME/restart, POST and GET /rollouts, GET /aliases; see
    `servedrill.refstack.guard`.
    """
    async with own_connections() as session:
        control = _Processes(stack, processes)
        routes = [
            web.get("/stack", control.describe),
            web.get("/processes", control.view),
            web.post("/processes/{name}/restart", control.restart),
            *Rollouts(stack, policies.make("canary", stack), session).routes(),
        ]
        await listen(routes, host=stack.control_host, port=stack.control_port)
        yield


class _Processes:
    def __init__(self, stack: Stack, processes: Mapping[str, Supervised]) -> None:
        self.stack, self.processes = stack, processes

    async def describe(self, http: web.Request) -> web.Response:
        """The file that this stack runs by, defaults filled in: what it promises."""
        return web.Response(body=msgspec.json.encode(self.stack), content_type="application/json")

    async def view(self, http: web.Request) -> web.Response:
        return web.json_response([process.view() for process in self.processes.values()])

    async def restart(self, http: web.Request) -> web.Response:
        """SIGTERM; the process drains, ends and is started again."""
        process = self.processes.get(http.match_info["name"])
        if process is None or process.pid is None:
            return web.json_response({"error": f"no running process {http.match_info['name']!r}"}, status=404)
        process.terminate(process.pid)
        return web.json_response(process.view())
