"""Who may change something at a control port of this stack: whoever has its secret, and never a web page.

Reading is free on this machine. A page cannot leave out ``Origin`` where it changes anything, nor choose ``Host``, so
one that reaches a port under a name of its own (DNS rebinding) is told by that.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from servedrill.refstack.secret import SECRET, proof

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """403 for a web page and for a foreign name, 401 for a change without the secret."""
    headers = request.headers
    if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none":
        raise web.HTTPForbidden(text="refused: a web page asked for it\n")
    if (host := headers.get("Host", "")) and not _leads_here(host):
        raise web.HTTPForbidden(text=f"refused: Host is {host[:100]!r}; expected an address or localhost\n")
    if request.method not in ("GET", "HEAD"):
        given = headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, proof()["Authorization"].encode()):
            raise web.HTTPUnauthorized(
                text=f"refused: changes need Authorization: Bearer and what {SECRET} was when the stack began\n"
            )
    return await handler(request)


def _leads_here(host: str) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
