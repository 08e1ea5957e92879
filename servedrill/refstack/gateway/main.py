"""Starts a gateway, and ends it: SIGTERM drains."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import aiohttp
import uvloop
from aiohttp import web

from servedrill.refstack.config import Stack
from servedrill.refstack.gateway.app import GatewayApp
from servedrill.refstack.gateway.gateway import Gateway
from servedrill.refstack.policies import Policies
from servedrill.refstack.process import log_to_stderr, set_name

log = logging.getLogger("refstack")


def main(stack: Stack, name: str) -> int:
    """Gateway ``name`` until it is told to end."""
    log_to_stderr(name)
    set_name(f"GW:{name}")
    return uvloop.run(_serve(stack, name))


async def _serve(stack: Stack, name: str) -> int:
    gateway, address = Gateway(stack, name, Policies(stack.defects)), stack.gateway(name)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=gateway.keep_alive.pool_s())
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=gateway.timeouts.connect_s())
    stopped = asyncio.Event()
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as gateway.session:
        await gateway.learn_aliases()
        runner = web.AppRunner(
            GatewayApp(gateway).app(),
            handle_signals=False,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=gateway.keep_alive.server_s(),
        )
        await runner.setup()
        site = web.TCPSite(runner, address.host, address.port, backlog=1024, reuse_address=True, shutdown_timeout=0.2)
        await site.start()
        log.info("listening on %s:%d", address.host, address.port)
        loop = asyncio.get_running_loop()
        tasks = {loop.create_task(gateway.upstreams.watch(gateway.loop_watch))}

        async def terminate() -> None:
            gateway.draining = True
            if not gateway.drain.keeps_listening():
                await site.stop()
            await gateway.drain.wait(lambda: len(gateway.work))
            stopped.set()

        loop.add_signal_handler(signal.SIGTERM, lambda: tasks.add(loop.create_task(terminate())))
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        await stopped.wait()
        os._exit(0)
