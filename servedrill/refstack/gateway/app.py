"""The gateway's routes: completions in, control and metrics beside."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import uuid
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from servedrill.refstack import wire
from servedrill.refstack.config import Stack
from servedrill.refstack.gateway.call import Call, wire_key
from servedrill.refstack.gateway.client_stream import ClientGone
from servedrill.refstack.gateway.idempotency import Stored
from servedrill.refstack.gateway.loop_watch import LoopWatch
from servedrill.refstack.gateway.metrics import GatewayMetrics
from servedrill.refstack.gateway.upstreams import Upstreams
from servedrill.refstack.gateway.versions import Versions
from servedrill.refstack.policies import Policies

log = logging.getLogger("refstack")


class GatewayApp:
    """One gateway: its policies, its upstreams, the requests under way."""

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

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """Both completion routes."""
        request_id = http.headers.get(wire.REQUEST_ID) or uuid.uuid4().hex
        try:
            body = msgspec.json.decode(await http.read(), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return self.refuse(400, f"the body is no JSON object: {error}", code="invalid_body", request_id=request_id)
        if not isinstance(body.get("model"), str):
            return self.refuse(400, "model is missing", code="missing_model", request_id=request_id)
        key = wire_key(http)
        if key is not None and (first := self.idempotency.find(key)) is not None:
            stored: Stored | None = await asyncio.shield(first)
            if stored is not None:
                return web.Response(
                    status=stored.status,
                    body=stored.body,
                    headers={wire.REQUEST_ID: request_id, "content-type": stored.content_type},
                )
        call = Call(
            self,
            http,
            body,
            request_id=request_id,
            route="chat" if http.path.endswith("/chat/completions") else "completions",
        )
        api_key, tokens = (
            http.headers.get("authorization", ""),
            (http.content_length or 0) // 6 + call.max_tokens * call.n,
        )
        wait_s = self.quota.charge(api_key, tokens, call.began)
        if wait_s is not None:
            return self.refuse(
                429,
                "the key's tokens a minute are used up",
                code="token_rate_limit",
                request_id=request_id,
                retry_after_s=wait_s,
            )
        self.retry_budget.deposit(call.began)
        if key is not None:
            self.idempotency.begin(key)
        try:
            response = await self.supervise(call)
        except BaseException:
            if key is not None:
                self.idempotency.end(key, None)
            raise
        if response.status != 200:
            self.quota.refund(api_key, tokens)
        if key is not None:
            self.idempotency.end(key, _stored(call, response))
        return response

    async def supervise(self, call: Call) -> web.StreamResponse:
        """Run the call's work as a task of its own, and tell the policy when the client goes first."""
        work = asyncio.create_task(call.run())
        self.work.add(work)
        work.add_done_callback(self._finished)
        try:
            response = await asyncio.shield(work)
        except asyncio.CancelledError:
            if not work.done():
                self.cancel.on_disconnect(work, stream=call.stream, route=call.route, n=call.n, tokens=call.tokens)
            raise
        except ClientGone:
            raise asyncio.CancelledError from None
        self.metrics.requests.labels(str(response.status)).inc()
        return response

    def _finished(self, work: asyncio.Task[Any]) -> None:
        self.work.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None and not isinstance(error, ClientGone):
            log.error("a request ended in an error of our own", exc_info=error)

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

    # ---- beside the traffic

    async def models(self, http: web.Request) -> web.Response:
        names = {name for upstream in self.upstreams.urls for name in self.upstreams.health.record(upstream).models}
        return web.json_response(
            {
                "object": "list",
                "data": [{"id": name, "object": "model"} for name in sorted(names | set(self.aliases.weights))],
            }
        )

    async def health(self, http: web.Request) -> web.Response:
        return web.Response(status=503 if self.draining else 200, headers={wire.SERVED_VIA: self.name})

    async def get_metrics(self, http: web.Request) -> web.Response:
        metrics, upstreams = self.metrics, self.upstreams
        metrics.in_flight.set(upstreams.in_flight.total)
        metrics.queue.set(self.admission.depth)
        metrics.budget.set(self.retry_budget.balance)
        for name in upstreams.urls:
            metrics.breaker.labels(name).set(upstreams.breaker.circuit(name).state)
            metrics.at.labels(name).set(upstreams.in_flight.at[name])
        return web.Response(body=metrics.text(), content_type="text/plain", charset="utf-8")

    async def put_aliases(self, http: web.Request) -> web.Response:
        self.aliases.set(msgspec.json.decode(await http.read(), type=dict[str, dict[str, float]]))
        self.versions.reset()
        return web.json_response(self.aliases.weights)

    async def get_aliases(self, http: web.Request) -> web.Response:
        return web.json_response(self.aliases.weights)

    async def put_cordons(self, http: web.Request) -> web.Response:
        self.upstreams.cordoned = set(msgspec.json.decode(await http.read(), type=list[str]))
        return web.json_response(sorted(self.upstreams.cordoned))

    async def get_upstreams(self, http: web.Request) -> web.Response:
        upstreams = self.upstreams
        return web.json_response(
            {
                name: {
                    "healthy": upstreams.health.healthy(name),
                    "breaker": upstreams.breaker.circuit(name).state,
                    "in_flight": upstreams.in_flight.at[name],
                    "cordoned": name in upstreams.cordoned,
                    "models": sorted(upstreams.health.record(name).models),
                }
                for name in upstreams.urls
            }
        )

    async def get_versions(self, http: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self.versions.stats), content_type="application/json")

    def app(self) -> web.Application:
        app = web.Application(client_max_size=self.limits.max_body_bytes)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self.complete),
                web.post("/v1/completions", self.complete),
                web.get("/v1/models", self.models),
                web.get("/health", self.health),
                web.get("/metrics", self.get_metrics),
                web.get("/admin/aliases", self.get_aliases),
                web.put("/admin/aliases", self.put_aliases),
                web.put("/admin/cordons", self.put_cordons),
                web.get("/admin/upstreams", self.get_upstreams),
                web.get("/admin/versions", self.get_versions),
            ]
        )
        return app

    async def learn_aliases(self) -> None:
        """After a restart the control plane knows better than the file which versions an alias has."""
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with (
                asyncio.timeout(1.0),
                self.session.get(f"{self.stack.control_url}/aliases") as response,
            ):
                self.aliases.set(await response.json())


def _stored(call: Call, response: web.StreamResponse) -> Stored | None:
    """What a repeated key gets; None for an answer that failed or was cut."""
    if response.status != 200 or (call.stream and len(call.finishes) < call.n):
        return None
    body = b"".join(call.client.kept or []) if call.stream else getattr(response, "body", b"")
    return Stored(response.status, response.content_type, bytes(body))
