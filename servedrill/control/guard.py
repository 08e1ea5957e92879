"""Who is answered at a control port of ours: whoever has the secret of its run, and never a web page.

Other users of the machine reach a port on loopback, and so does every web page that its owner looks at: directly, or
under a name of its own that suddenly leads to 127.0.0.1 (DNS rebinding). A page cannot leave out ``Origin`` where it
changes anything, and cannot choose ``Host``: what names neither an address nor localhost came by somebody's DNS.

The embedded stack has a guard of its own: programs that judge each other share no code.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Collection, Mapping
from urllib.parse import urlsplit

from aiohttp import web

from servedrill.secrecy.known import cut

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def foreign(headers: Mapping[str, str], *, known: Collection[str] = ()) -> str | None:
    """Why a request is a web page's, or came by a name that is none of this machine's; None for one that is neither.

    ``headers`` ignore case; ``known`` are names, besides localhost and addresses, that lead here.
    """
    if "Origin" in headers:
        return "a web page asked for it (Origin)"
    if headers.get("Sec-Fetch-Site", "none") != "none":
        return "a web page asked for it (Sec-Fetch-Site)"
    host = headers.get("Host", "")
    if host and not _leads_here(host, known):
        return f"Host is {cut(host, 100)!r}; expected an address or localhost"
    return None


def guarded(secret: str) -> web.Application:
    """An application whose every route asks for ``Authorization: Bearer`` and this secret, and refuses web pages."""
    if not secret:
        raise ValueError("a control port without a secret")

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        why = foreign(request.headers)
        if why is not None:
            raise web.HTTPForbidden(text=f"refused: {why}\n")
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, f"Bearer {secret}".encode()):
            raise web.HTTPUnauthorized(text="refused: the secret of the run is missing (Authorization: Bearer)\n")
        return await handler(request)

    return web.Application(middlewares=[guard])


def _leads_here(host: str, known: Collection[str]) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name == "localhost" or name in known:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
