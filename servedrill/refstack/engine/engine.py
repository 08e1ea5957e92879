"""One engine without its routes: the policies, the state, the open requests, and its words for a refusal."""

from __future__ import annotations

import asyncio
import logging
import os
import time

import msgspec
from aiohttp import web

from servedrill.refstack import wire
from servedrill.refstack.config import Stack
from servedrill.refstack.engine import messages as m
from servedrill.refstack.engine.core_link import CoreLink
from servedrill.refstack.engine.metrics import EngineMetrics
from servedrill.refstack.engine.open_request import OpenRequest
from servedrill.refstack.engine.readiness import EngineState
from servedrill.refstack.policies import Policies

log = logging.getLogger("refstack")


class Engine:
    """What the routes of one engine share; ``link`` has to be set before the first request."""

    def __init__(self, stack: Stack, name: str, policies: Policies) -> None:
        self.stack, self.name = stack, name
        self.policies = policies
        self.validation = policies.make("validation", stack.engine_limits)
        self.admission = policies.make("engine_admission", stack.engine_limits)
        self.abort = policies.make("engine_abort")
        self.readiness = policies.make("readiness", stack.health_stall_s)
        self.drain = policies.make("engine_drain", stack.drain_grace_s)
        self.metrics = EngineMetrics(
            model_name=stack.alias, blocks=stack.engine_limits.blocks, block_tokens=stack.engine_limits.block_tokens
        )
        self.state = EngineState()
        self.model = stack.model(stack.serves)
        self.adapters: dict[str, str] = {}
        self.open: dict[str, OpenRequest] = {}
        self.link: CoreLink
        self.stopped = asyncio.Event()
        self.exit_code = 0

    # ---- the core's side

    def on_step(self, step: m.Step) -> None:
        """Hand the tokens of a step to their requests and take over the gauges; a request that is gone is skipped."""
        now = time.monotonic()
        for token in step.tokens:
            request = self.open.get(token.id)
            if request is None:
                continue
            last = request.last[token.choice]
            if last is None:
                request.first = request.first or now
                self.metrics.ttft.observe(now - request.began)
            else:
                self.metrics.itl.observe(now - last)
            request.last[token.choice] = now
            request.put(token)
        if step.stats is not None:
            self.metrics.set_stats(step.stats)
            self.state.sleeping = step.stats.sleeping > 0

    def on_ready(self, ready: m.Ready) -> None:
        """The core got further with loading, or failed."""
        self.state.loaded, self.state.warm, self.state.load_failed = ready.loaded, ready.warm, bool(ready.error)
        log.info("loaded=%s warm=%s %s", ready.loaded, ready.warm, ready.error or ready.version)

    def on_death(self) -> None:
        """The core is gone: every open request fails, and the process ends where the policy says so."""
        log.error("the core is gone; %d requests open", len(self.open))
        self.state.core_alive = False
        for request in self.open.values():
            request.fail(500, "the engine's core has died", "engine_dead")
        if self.readiness.exits_on_core_death():
            self.exit_code = 1
            asyncio.get_running_loop().call_later(0.2, self.stopped.set)

    # ---- answers

    def headers(self, request_id: str) -> dict[str, str]:
        """The headers of every answer: request id, process, names served."""
        return {
            wire.REQUEST_ID: request_id,
            wire.SERVED_BY: f"{self.name}/{os.getpid()}",
            wire.MODELS: ",".join([self.model.version if self.model else "", *self.adapters]),
        }

    def refuse(
        self,
        status: int,
        message: str,
        *,
        code: str,
        request_id: str,
        retry_after_s: int | None = None,
        param: str | None = None,
    ) -> web.Response:
        """An error of the one schema."""
        headers = self.headers(request_id)
        if retry_after_s is not None:
            headers["retry-after"] = str(retry_after_s)
        body = msgspec.json.encode(wire.error_object(status, message, code=code, request_id=request_id, param=param))
        return web.Response(status=status, body=body, headers=headers, content_type="application/json")

    # ---- state

    def current_state(self) -> EngineState:
        """The state, as of now."""
        self.state.core_silent_s = self.link.silent_s
        self.state.open_requests = len(self.open)
        return self.state

    async def terminate(self) -> None:
        """SIGTERM: drain, then end."""
        if self.state.draining:
            return
        self.state.draining = True
        log.info("draining %d requests", len(self.open))
        await self.drain.wait(lambda: len(self.open))
        self.stopped.set()
