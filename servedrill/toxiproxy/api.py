"""The control API: one table of routes, and handlers of a few lines each.

It stands on aiohttp's low-level server and does its own routing, because existing clients count on answers that a
framework words differently: the text of a 404, the empty body of a 405, the order in which a body is judged.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import web

from servedrill.control.guard import foreign
from servedrill.toxiproxy import decode, metrics
from servedrill.toxiproxy.collection import Collection
from servedrill.toxiproxy.errors import ApiError
from servedrill.toxiproxy.toxic import REGISTRY

VERSION = "2.12.0"
"""The release of the API that this server speaks; clients parse it to learn what they may call."""
BODY_BYTES_MAX = 64 * 1024 * 1024

Names = list[str]
Handler = Callable[["Api", web.BaseRequest, Names], Awaitable[web.Response]]


class Api:
    """Answers control requests about one collection of proxies."""

    def __init__(
        self,
        collection: Collection,
        *,
        metrics_on: bool,
        version: str = VERSION,
        known_hosts: tuple[str, ...] = (),
        patience_s: float,
    ) -> None:
        """``patience_s``: for the body of a request."""
        self._proxies, self._patience_s = collection, patience_s
        self._silent: set[web.RequestHandler] = set()
        """Connections that have asked nothing yet."""
        self._known_hosts = known_hosts
        self._version = version
        self._metrics_on = metrics_on

    def expect(self, connection: web.RequestHandler) -> None:
        """Somebody has connected, and is to ask something."""
        self._silent.add(connection)

    def give_up(self, connection: web.RequestHandler) -> None:
        """Hang up on one that still has not: half a connection is held for nobody."""
        if connection in self._silent:
            self._silent.discard(connection)
            connection.force_close()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; what the API refuses is an answer too.

        Toxiproxy knows browsers by their User-Agent alone, which a page's own code can change.
        """
        self._silent.discard(request.protocol)
        if request.headers.get("User-Agent", "").startswith("Mozilla/"):
            answer = _text("User agent not allowed\n", 403)
        elif (why := foreign(request.headers, known=self._known_hosts)) is not None:
            answer = _text(f"refused: {why}\n", 403)
        else:
            answer = await self._route(request)
        answer.headers["X-Toxiproxy-Request-Id"] = secrets.token_hex(10)
        return answer

    async def _route(self, request: web.BaseRequest) -> web.Response:
        parts = request.raw_path.split("?", 1)[0].split("/")[1:]
        methods = _match(parts)
        if methods is None or (parts == ["metrics"] and not self._metrics_on):
            return _text("404 page not found\n", 404)
        handler = methods.get(request.method)
        if handler is None:
            return web.Response(status=405)
        names = [unquote(part, errors="replace") for part in parts[1::2]]
        try:
            return await handler(self, request, names)
        except decode.BadBody as problem:
            error = ApiError.bad_body(str(problem))
        except ApiError as problem:
            error = problem
        return _text(_dump(error.body()) + "\n", error.status)

    # Server.

    async def version(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`GET /version`."""
        answer = web.Response(body=f'{{"version": {_dump(self._version)}}}\n'.encode())
        answer.headers["Content-Type"] = "application/json;charset=utf-8"
        return answer

    async def reset(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`POST /reset`: all proxies up, all toxics gone."""
        await self._proxies.reset()
        return web.Response(status=204)

    async def metrics(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`GET /metrics`."""
        return web.Response(text=metrics.render(self._proxies), content_type="text/plain", charset="utf-8")

    async def populate(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`POST /populate`: the proxies that were made, and the first error behind them."""
        try:
            items = decode.as_list(decode.parse(await self._read(request)), "proxies")
            made, error = await self._proxies.populate([decode.proxy_input(item) for item in items])
        except decode.BadBody as problem:
            made, error = [], ApiError.bad_body(str(problem))
        except ApiError as problem:
            made, error = [], problem
        body = {} if error is None else error.body()
        return _json(
            {**body, "proxies": [proxy.body() for proxy in made] or None}, 201 if error is None else error.status
        )

    async def known_toxics(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`GET /toxics`, which the original does not have: each type with its attributes and their defaults."""
        return _json(
            {
                name: {"attributes": {field.name: field.default for field in fields(cls)}}  # type: ignore[arg-type]
                for name, cls in sorted(REGISTRY.items())
            }
        )

    # Proxies.

    async def list_proxies(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`GET /proxies`."""
        return _json({name: proxy.body() for name, proxy in sorted(self._proxies.proxies.items())})

    async def create_proxy(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`POST /proxies`."""
        proxy = await self._proxies.create(decode.proxy_input(decode.parse(await self._read(request))))
        return _json(proxy.body(), 201)

    async def show_proxy(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`GET /proxies/NAME`."""
        return _json(self._proxies.get(names[0]).body())

    async def update_proxy(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`PATCH /proxies/NAME`."""
        proxy = self._proxies.get(names[0])
        given = decode.proxy_change(decode.parse(await self._read(request)))
        await self._proxies.update(proxy, given)
        return _json(proxy.body())

    async def delete_proxy(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`DELETE /proxies/NAME`."""
        self._proxies.remove(self._proxies.get(names[0]), by="proxy")
        return web.Response(status=204)

    async def show_stats(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`GET /proxies/NAME/stats`: connections and bytes."""
        proxy = self._proxies.get(names[0])
        return _json({**proxy.body(), "stats": proxy.stats()})

    async def list_exchanges(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`GET /proxies/NAME/exchanges?since=N`: a page of what the tap saw after change N."""
        proxy = self._proxies.get(names[0])
        if proxy.exchanges is None:
            raise ApiError("proxy has no tap", 404)
        since = request.rel_url.query.get("since", "0")
        if not (since.isascii() and since.isdigit() and len(since) < 19):
            raise ApiError("since has to be a number that an earlier answer gave as next", 400)
        page = proxy.exchanges.since(int(since))
        return web.Response(body=msgspec.json.encode(page), content_type="application/json")

    # Toxics.

    async def list_toxics(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`GET /proxies/NAME/toxics`."""
        return _json(self._proxies.get(names[0]).chain.bodies())

    async def create_toxic(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`POST /proxies/NAME/toxics`."""
        chain = self._proxies.get(names[0]).chain
        return _json(chain.add(decode.toxic_input(decode.parse(await self._read(request)))).body())

    async def show_toxic(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`GET /proxies/NAME/toxics/TOXIC`."""
        return _json(self._proxies.get(names[0]).chain.find(names[1]).body())

    async def update_toxic(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`PATCH /proxies/NAME/toxics/TOXIC`."""
        chain = self._proxies.get(names[0]).chain
        body = await self._read(request)
        entry = chain.find(names[1])
        chain.update(entry, decode.toxic_change(decode.parse(body)))
        return _json(entry.body())

    async def delete_toxic(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`DELETE /proxies/NAME/toxics/TOXIC`."""
        chain = self._proxies.get(names[0]).chain
        chain.remove(chain.find(names[1]), by="request")
        return web.Response(status=204)

    async def show_evidence(self, request: web.BaseRequest, names: Names) -> web.Response:
        """`GET /proxies/NAME/toxics/TOXIC/evidence`, of a removed toxic or proxy too."""
        proxy = self._proxies.proxies.get(names[0])
        kept = self._proxies.archive.find(names[0], names[1])
        if proxy is not None:
            return _json(proxy.chain.evidence(names[1]))
        if kept is None:
            raise ApiError.proxy_not_found()
        return _json(kept)

    async def _read(self, request: web.BaseRequest) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._patience_s):
                async for part in request.content.iter_any():
                    body += part
                    if len(body) > BODY_BYTES_MAX:
                        raise ApiError("http: request body too large", 413)
        except TimeoutError:
            raise decode.BadBody(f"it was not here after {self._patience_s:g} s") from None
        return bytes(body)


ROUTES: dict[tuple[str, ...], dict[str, Handler]] = {
    ("version",): {"GET": Api.version},
    ("reset",): {"POST": Api.reset},
    ("metrics",): {"GET": Api.metrics},
    ("toxics",): {"GET": Api.known_toxics},
    ("populate",): {"POST": Api.populate},
    ("proxies",): {"GET": Api.list_proxies, "POST": Api.create_proxy},
    ("proxies", "*"): {
        "GET": Api.show_proxy,
        "POST": Api.update_proxy,
        "PATCH": Api.update_proxy,
        "DELETE": Api.delete_proxy,
    },
    ("proxies", "*", "stats"): {"GET": Api.show_stats},
    ("proxies", "*", "exchanges"): {"GET": Api.list_exchanges},
    ("proxies", "*", "toxics"): {"GET": Api.list_toxics, "POST": Api.create_toxic},
    ("proxies", "*", "toxics", "*"): {
        "GET": Api.show_toxic,
        "POST": Api.update_toxic,
        "PATCH": Api.update_toxic,
        "DELETE": Api.delete_toxic,
    },
    ("proxies", "*", "toxics", "*", "evidence"): {"GET": Api.show_evidence},
}


def _match(parts: list[str]) -> dict[str, Handler] | None:
    """The methods of a path: every second part is a name, which cannot be empty."""
    if not all(parts):
        return None
    return ROUTES.get(tuple("*" if at % 2 else part for at, part in enumerate(parts)))


def _dump(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _json(body: Any, status: int = 200) -> web.Response:
    answer = web.Response(body=_dump(body).encode("utf-8", "replace"), status=status)
    answer.headers["Content-Type"] = "application/json"
    return answer


def _text(text: str, status: int) -> web.Response:
    answer = web.Response(text=text, status=status, content_type="text/plain", charset="utf-8")
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
