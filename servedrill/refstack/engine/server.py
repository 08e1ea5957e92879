"""Serves an engine's API and its admin routes on one port, and ends them: SIGTERM drains."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from typing import Any

from aiohttp import web

from servedrill.refstack.config import Stack
from servedrill.refstack.engine.admin import EngineAdmin
from servedrill.refstack.engine.api import EngineAPI
from servedrill.refstack.engine.core_link import CoreLink
from servedrill.refstack.engine.engine import Engine
from servedrill.refstack.policies import Policies

log = logging.getLogger("refstack")


async def serve(stack: Stack, name: str, policies: Policies, core: socket.socket) -> int:
    """Run the API server until it is told to end or its core dies; the exit status of the process."""
    engine, address = Engine(stack, name, policies), stack.engine(name)
    engine.link = await CoreLink.connect(
        core, on_step=engine.on_step, on_ready=engine.on_ready, on_death=engine.on_death
    )
    app = web.Application(client_max_size=4 << 20)
    app.add_routes([*EngineAPI(engine).routes(), *EngineAdmin(engine).routes()])
    runner = web.AppRunner(
        app,
        handle_signals=False,
        handler_cancellation=True,
        access_log=None,
        keepalive_timeout=stack.engine_keep_alive_s,
    )
    await runner.setup()
    site = web.TCPSite(runner, address.host, address.port, backlog=1024, reuse_address=True, shutdown_timeout=0.2)
    await site.start()
    log.info("listening on %s:%d", address.host, address.port)
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[Any]] = set()
    loop.add_signal_handler(signal.SIGTERM, lambda: tasks.add(loop.create_task(engine.terminate())))
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    await engine.stopped.wait()
    os._exit(engine.exit_code)  # sockets are closed by the kernel; the supervisor clears the core away
