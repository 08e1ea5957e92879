"""One gateway without its routes: the policies, the upstreams, the requests under way, and its words for a refusal."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from servedrill.refstack import wire
from servedrill.refstack.config import Stack
from servedrill.refstack.gateway.loop_watch import LoopWatch
from servedrill.refstack.gateway.metrics import GatewayMetrics
from servedrill.refstack.gateway.upstreams import Upstreams
from servedrill.refstack.gateway.versions import Versions
from servedrill.refstack.policies import Policies


class Gateway:
    """What every request of one gateway shares.

    Made in a running event loop; ``session`` has to be set before the first request. Attributes that hold a policy are
    `Any`, as its class is looked up by name.
    """

    def __init__(self, stack: Stack, name: str, policies: Policies) -> None:
        self.stack, self.name, self.limits = stack, name, stack.gateway_limits
        self.chance = random.Random()
        self.metrics = GatewayMetrics()
        self.upstreams = Upstreams(stack, policies, self.metrics, self.chance)
        self.admission = policies.make("gateway_admission", self.limits)
        self.quota = policies.make("quota", self.limits)
        self.retry = policies.make("retry", self.limits, self.chance)
        self.retry_budget = policies.make("retry_budget", self.limits)
        self.timeouts = policies.make("timeouts", self.limits)
        self.cancel = policies.make("upstream_cancel")
        self.resume = policies.make("stream_resume")
        self.drain = policies.make("gateway_drain", self.limits.drain_grace_s)
        self.keep_alive = policies.make("keep_alive", stack)
        self.aliases = policies.make("aliases", self.chance)
        self.idempotency = policies.make("idempotency")
        self.error_body = policies.make("error_body")
        self.aliases.set({stack.alias: {stack.serves: 1.0}})
        self.versions = Versions()
        self.draining = False
        self.work: set[asyncio.Task[Any]] = set()
        self.session: aiohttp.ClientSession
        self.loop_watch = LoopWatch()

    def refuse(
        self, status: int, message: str, *, code: str, request_id: str, retry_after_s: float = 1.0
    ) -> web.Response:
        """An error of the one schema."""
        headers = {wire.REQUEST_ID: request_id, wire.SERVED_VIA: self.name}
        seconds = self.error_body.retry_after_s(status, retry_after_s)
        if seconds is not None:
            headers["retry-after"] = str(seconds)
        body = msgspec.json.encode(self.error_body.body(status, message, code=code, request_id=request_id))
        return web.Response(status=status, body=body, headers=headers, content_type="application/json")

    async def learn_aliases(self) -> None:
        """Ask the control plane which versions an alias has: after a restart it knows better than the file.

        Where it does not answer within a second, the file's table stays.
        """
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with (
                asyncio.timeout(1.0),
                self.session.get(f"{self.stack.control_url}/aliases") as response,
            ):
                self.aliases.set(await response.json())
