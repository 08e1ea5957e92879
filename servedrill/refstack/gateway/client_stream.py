"""The client's side of a streamed answer: begun with the first frame, so that an earlier failure can be a status."""

from __future__ import annotations

import aiohttp
from aiohttp import web

from servedrill.refstack import wire


class ClientGone(Exception):
    """The client hung up while it was being written to; says nothing of any upstream."""


class ClientStream:
    """Writes frames; ``begun`` once the client has a status."""

    def __init__(self, http: web.Request, headers: dict[str, str], *, keep: bool) -> None:
        self.http = http
        self.response = web.StreamResponse(headers={**wire.SSE_HEADERS, **headers})
        self.begun = False
        self.kept: list[bytes] | None = [] if keep else None

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Raises `ClientGone`."""
        if self.kept is not None:
            self.kept.append(data)
        try:
            if not self.begun:
                self.begun = True
                await self.response.prepare(self.http)
            await self.response.write(data)
            if last:
                await self.response.write_eof()
        except (aiohttp.ClientConnectionError, ConnectionError) as error:
            raise ClientGone from error
