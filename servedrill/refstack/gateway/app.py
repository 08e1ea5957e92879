"""The gateway's routes: completions in, control and metrics beside."""

from __future__ import annotations

import asyncio
import logging
import uuid
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from servedrill.refstack import wire
from servedrill.refstack.gateway.call import Call, wire_key
from servedrill.refstack.gateway.client_stream import ClientGone
from servedrill.refstack.gateway.gateway import Gateway
from servedrill.refstack.gateway.idempotency import Stored
from servedrill.refstack.guard import Handler, guard

log = logging.getLogger("refstack")


class GatewayApp:
    """The routes of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """Both completion routes."""
        gateway = self.gateway
        request_id = http.headers.get(wire.REQUEST_ID) or uuid.uuid4().hex
        try:
            body = msgspec.json.decode(await http.read(), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return gateway.refuse(
                400, f"the body is no JSON object: {error}", code="invalid_body", request_id=request_id
            )
        if not isinstance(body.get("model"), str):
            return gateway.refuse(400, "model is missing", code="missing_model", request_id=request_id)
        key = wire_key(http)
        if key is not None and (first := gateway.idempotency.find(key)) is not None:
            stored: Stored | None = await asyncio.shield(first)
            if stored is not None:
                return web.Response(
                    status=stored.status,
                    body=stored.body,
                    headers={wire.REQUEST_ID: request_id, "content-type": stored.content_type},
                )
        call = Call(
            gateway,
            http,
            body,
            request_id=request_id,
            route="chat" if http.path.endswith("/chat/completions") else "completions",
        )
        tokens = (http.content_length or 0) // 6 + call.max_tokens * call.n
        wait_s = gateway.quota.charge(call.key, tokens, call.began)
        if wait_s is not None:
            return gateway.refuse(
                429,
                "the key's tokens a minute are used up",
                code="token_rate_limit",
                request_id=request_id,
                retry_after_s=wait_s,
            )
        gateway.retry_budget.deposit(call.began)
        if key is not None:
            gateway.idempotency.begin(key)
        try:
            response = await self.supervise(call)
        except BaseException:
            if key is not None:
                gateway.idempotency.end(key, None)
            raise
        if response.status != 200:
            gateway.quota.refund(call.key, tokens)
        if key is not None:
            gateway.idempotency.end(key, _stored(call, response))
        return response

    async def supervise(self, call: Call) -> web.StreamResponse:
        """Run the call's work as a task of its own, and tell the policy when the client goes first."""
        work = asyncio.create_task(call.run())
        self.gateway.work.add(work)
        work.add_done_callback(self._finished)
        try:
            response = await asyncio.shield(work)
        except asyncio.CancelledError:
            if not work.done():
                self.gateway.cancel.on_disconnect(
                    work, stream=call.stream, route=call.route, n=call.n, tokens=call.tokens
                )
            raise
        except ClientGone:
            raise asyncio.CancelledError from None
        self.gateway.metrics.requests.labels(str(response.status)).inc()
        return response

    def _finished(self, work: asyncio.Task[Any]) -> None:
        self.gateway.work.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None and not isinstance(error, ClientGone):
            log.error("a request ended in an error of our own", exc_info=error)

    # ---- beside the traffic

    async def models(self, http: web.Request) -> web.Response:
        """The names that engines said they serve, and the aliases."""
        gateway = self.gateway
        health = gateway.upstreams.health
        names = {name for upstream in gateway.upstreams.urls for name in health.record(upstream).models}
        return web.json_response(
            {
                "object": "list",
                "data": [{"id": name, "object": "model"} for name in sorted(names | set(gateway.aliases.weights))],
            }
        )

    async def health(self, http: web.Request) -> web.Response:
        """200 while in rotation, 503 while draining."""
        ready = not self.gateway.draining or self.gateway.drain.says_ready()
        return web.Response(status=200 if ready else 503, headers={wire.SERVED_VIA: self.gateway.name})

    async def get_metrics(self, http: web.Request) -> web.Response:
        """Prometheus' text format; gauges are set when asked for."""
        gateway = self.gateway
        metrics, upstreams = gateway.metrics, gateway.upstreams
        metrics.in_flight.set(upstreams.in_flight.total)
        metrics.queue.set(gateway.admission.depth)
        metrics.budget.set(gateway.retry_budget.balance)
        for name in upstreams.urls:
            metrics.breaker.labels(name).set(upstreams.breaker.circuit(name).state)
            metrics.at.labels(name).set(upstreams.in_flight.at[name])
        return web.Response(body=metrics.text(), content_type="text/plain", charset="utf-8")

    async def put_aliases(self, http: web.Request) -> web.Response:
        """Body: alias -> version -> weight, the whole table. The stats of versions begin anew."""
        self.gateway.aliases.set(msgspec.json.decode(await http.read(), type=dict[str, dict[str, float]]))
        self.gateway.versions.reset()
        return web.json_response(self.gateway.aliases.weights)

    async def get_aliases(self, http: web.Request) -> web.Response:
        """Alias -> version -> weight."""
        return web.json_response(self.gateway.aliases.weights)

    async def put_cordons(self, http: web.Request) -> web.Response:
        """Body: a list of engines that get no new requests, the whole list."""
        self.gateway.upstreams.cordoned = set(msgspec.json.decode(await http.read(), type=list[str]))
        return web.json_response(sorted(self.gateway.upstreams.cordoned))

    async def get_upstreams(self, http: web.Request) -> web.Response:
        """Engine -> health, breaker, tries in flight, cordon, models."""
        upstreams = self.gateway.upstreams
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
        """Version -> `VersionStats`."""
        return web.Response(body=msgspec.json.encode(self.gateway.versions.stats), content_type="application/json")

    async def end_connection(self, http: web.Request, response: web.StreamResponse) -> None:
        """While draining, say so in the head of every answer that begins: its client has to come in anew."""
        if self.gateway.draining and not self.gateway.drain.keeps_connections():
            response.headers["connection"] = "close"
            response.force_close()

    def app(self) -> web.Application:
        """An application with all routes."""
        app = web.Application(client_max_size=self.gateway.limits.max_body_bytes)
        app.on_response_prepare.append(self.end_connection)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self.complete),
                web.post("/v1/completions", self.complete),
                web.get("/v1/models", self.models),
                web.get("/health", self.health),
                web.get("/metrics", self.get_metrics),
                web.get("/admin/aliases", _guarded(self.get_aliases)),
                web.put("/admin/aliases", _guarded(self.put_aliases)),
                web.put("/admin/cordons", _guarded(self.put_cordons)),
                web.get("/admin/upstreams", _guarded(self.get_upstreams)),
                web.get("/admin/versions", _guarded(self.get_versions)),
            ]
        )
        return app


def _guarded(handler: Handler) -> Handler:
    """Control routes beside the traffic; a middleware would cost every request."""
    return partial(guard, handler=handler)


def _stored(call: Call, response: web.StreamResponse) -> Stored | None:
    """What a repeated key gets; None for an answer that failed or was cut."""
    if response.status != 200 or (call.stream and len(call.finishes) < call.n):
        return None
    body = b"".join(call.client.kept or []) if call.stream else getattr(response, "body", b"")
    return Stored(response.status, response.content_type, bytes(body))
