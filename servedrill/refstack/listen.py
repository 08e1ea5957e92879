"""A control port of this stack: for whom `servedrill.refstack.guard` lets in, and held for nobody who asks half a
question, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web

from servedrill.refstack.guard import Handler, guard

PATIENCE_S, IDLE_S = 10.0, 60.0


async def listen(
    routes: Iterable[web.RouteDef],
    *,
    host: str = "127.0.0.1",
    port: int,
    patience_s: float = PATIENCE_S,
    idle_s: float = IDLE_S,
) -> int:
    """Answer for as long as the loop runs; the port, which 0 leaves to the kernel.

    ``patience_s``: for the first request of a connection, and for the body of each; ``idle_s``: for the next request.
    Raises `OSError` where the port is taken.
    """
    silent: set[web.RequestHandler] = set()

    @web.middleware
    async def heard(request: web.Request, handler: Handler) -> web.StreamResponse:
        silent.discard(request.protocol)
        return await handler(request)

    @web.middleware
    async def whole(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            async with asyncio.timeout(patience_s):
                await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text=f"refused: the body was not here after {patience_s:g} s\n") from None
        return await handler(request)

    def give_up(connection: web.RequestHandler) -> None:
        if connection in silent:
            silent.discard(connection)
            connection.force_close()

    app = web.Application(middlewares=[heard, guard, whole])
    app.add_routes(routes)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, keepalive_timeout=idle_s)
    await runner.setup()
    server = runner.server
    assert server is not None
    loop = asyncio.get_running_loop()

    def connected() -> asyncio.Protocol:
        connection = server()
        silent.add(connection)
        loop.call_later(patience_s, give_up, connection)
        return connection

    listening = await loop.create_server(connected, host, port, reuse_address=True)
    return int(listening.sockets[0].getsockname()[1])
