"""A call to a control API with the standard library alone: for the watchdog, which has to be up in no time.

As in `servedrill.control.bounded` the bounds are of the answer as a whole.
"""

from __future__ import annotations

import http.client
import io
import time
from socket import socket
from typing import cast

BYTES_MAX = 4 << 20


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    *,
    within_s: float,
    body: str = "",
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    """Status and body. Whoever answers is asked to close then; what comes after ``within_s``, or is too much, is not
    read.

    Raises `OSError`, `http.client.HTTPException`.
    """
    until = time.monotonic() + within_s
    connection.timeout = within_s
    try:
        connection.request(method, path, body=body or None, headers={"connection": "close", **(headers or {})})
        said = bytearray()
        while len(said) < BYTES_MAX and (left_s := until - time.monotonic()) > 0:
            connection.sock.settimeout(left_s)
            piece = connection.sock.recv(65536)
            if not piece:
                break
            said += piece
    finally:
        connection.close()
    response = http.client.HTTPResponse(cast("socket", _Said(bytes(said))), method=method)
    response.begin()
    return response.status, response.read()


class _Said:
    """What `http.client.HTTPResponse` wants of a socket."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._said)
