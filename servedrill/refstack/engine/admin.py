"""What operators do to a serving engine: other weights, sleep and wake-up, adapters, an empty prefix cache."""

from __future__ import annotations

import asyncio

from aiohttp import web

from servedrill.refstack.engine import messages as m
from servedrill.refstack.engine.engine import Engine


class EngineAdmin:
    """vLLM's development routes and runtime adapters, and /update_weights; one change at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.swap = engine.policies.make("swap", engine.stack.drain_grace_s)
        self.changing = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """The routes that change an engine."""
        return [
            web.post("/update_weights", self.update_weights),
            web.post("/sleep", self.sleep),
            web.post("/wake_up", self.wake_up),
            web.get("/is_sleeping", self.is_sleeping),
            web.post("/reset_prefix_cache", self.reset_prefix_cache),
            web.post("/v1/load_lora_adapter", self.load_lora),
            web.post("/v1/unload_lora_adapter", self.unload_lora),
        ]

    async def change(self, message: m.ToCore, *, quiesce: bool) -> web.Response:
        """Carry out a control message, after the open requests where it must not meet any."""
        async with self.changing:
            try:
                if quiesce and not await self.swap.quiesce(self.engine.state, lambda: len(self.engine.open)):
                    return self.engine.refuse(
                        409, "open requests did not end within the grace period", code="busy", request_id=""
                    )
                done = await self.engine.link.control(message)
                self.engine.model = self.engine.stack.model(done.version) or self.engine.model
                self.engine.adapters = done.adapters
            except ConnectionError as error:
                return self.engine.refuse(500, str(error), code="engine_dead", request_id="")
            finally:
                self.swap.resume(self.engine.state)
        return web.json_response(
            {"success": done.ok, "detail": done.detail, "version": done.version}, status=200 if done.ok else 400
        )

    async def update_weights(self, http: web.Request) -> web.Response:
        """Body: ``{"version": ...}``, one of the registry."""
        body = await http.json()
        return await self.change(m.Load(version=str(body.get("version"))), quiesce=True)

    async def sleep(self, http: web.Request) -> web.Response:
        """``?level=`` 1 or 2; anything beyond is the nearer of both."""
        return await self.change(m.Sleep(level=min(2, max(1, int(http.query.get("level", "1"))))), quiesce=True)

    async def wake_up(self, http: web.Request) -> web.Response:
        """Take memory again and serve; open requests are not waited for."""
        return await self.change(m.Wake(), quiesce=False)

    async def is_sleeping(self, http: web.Request) -> web.Response:
        """``{"is_sleeping": ...}``, as the core's gauges last said."""
        return web.json_response({"is_sleeping": self.engine.state.sleeping})

    async def reset_prefix_cache(self, http: web.Request) -> web.Response:
        """``success`` is false while sequences hold blocks."""
        done = await self.engine.link.control(m.ResetPrefixCache())
        return web.json_response({"success": done.ok})

    async def load_lora(self, http: web.Request) -> web.Response:
        """Body: ``{"lora_name": ..., "lora_path": ...}``."""
        body = await http.json()
        return await self.change(
            m.LoadAdapter(name=str(body.get("lora_name")), path=str(body.get("lora_path"))), quiesce=False
        )

    async def unload_lora(self, http: web.Request) -> web.Response:
        """Body: ``{"lora_name": ...}``; open requests end first, those of other models too."""
        body = await http.json()
        return await self.change(m.UnloadAdapter(name=str(body.get("lora_name"))), quiesce=True)
