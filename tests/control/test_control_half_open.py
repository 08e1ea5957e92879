"""Half a request, or none, at a control port of a supervisor and of the embedded stack: nobody waits for the rest."""

from __future__ import annotations

import ast
import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from servedrill.control.guard import guarded
from servedrill.control.listen import listen
from servedrill.control.secret import proof, run_secret
from servedrill.refstack import listen as refstack
from tests.worlds.half_open import ASKED, CLIENTS, all_given_up

ROOT = Path(__file__).parents[2] / "servedrill"
SERVING = {"refstack/engine/server.py", "refstack/gateway/main.py"}
"""They stand for servers that have no such limits."""


async def version(http: web.Request) -> web.Response:
    return web.Response(text="1")


async def proxies(http: web.Request) -> web.Response:
    return web.Response(body=await http.read())


ROUTES = [web.get("/version", version), web.post("/proxies", proxies)]


def of_a_supervisor() -> Awaitable[int]:
    app = guarded(run_secret())
    app.add_routes(ROUTES)
    return listen(app, port=0, patience_s=1.0, idle_s=1.0)


def of_the_embedded_stack() -> Awaitable[int]:
    return refstack.listen(ROUTES, port=0, patience_s=1.0, idle_s=1.0)


@pytest.fixture(scope="module", params=[of_a_supervisor, of_the_embedded_stack], ids=lambda one: one.__name__)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Of a server in a thread; nothing but its loop holds it."""
    begin: Callable[[], Awaitable[int]] = request.param
    loop, begun, ports = uvloop.new_event_loop(), threading.Event(), list[int]()

    async def serve() -> None:
        ports.append(await begin())

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        begun.set()
        loop.run_forever()

    run_secret()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert begun.wait(30)
    gc.collect()
    yield ports[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)


def test_half_a_request_is_given_up(port: int) -> None:
    """Whatever a client does not send; who asks properly meanwhile is answered."""
    for name, said in all_given_up(port, headers=proof(run_secret())).items():
        if "body" in name:
            assert said.startswith(b"HTTP/1.1 408 "), name
        else:
            assert said.startswith(b"HTTP/1.1 200 ") if CLIENTS[name][0] == ASKED else said == b"", name


def test_every_control_port_listens_so() -> None:
    """Whoever answers HTTP in another way is one that serves, or the fault proxy, which has its own."""
    found = set()
    for path in ROOT.rglob("*.py"):
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("AppRunner", "ServerRunner", "run_app", "TCPSite"):
                found.add(name)
    assert found - SERVING == {"control/listen.py", "refstack/listen.py"}
