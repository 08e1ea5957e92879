"""What gateway and engine say in the same words: OpenAI's error object, server-sent events, header names."""

from __future__ import annotations

from typing import Any

import msgspec

REQUEST_ID = "x-request-id"
ATTEMPT = "x-attempt"
SERVED_BY = "x-served-by"
"""``engine/pid`` of the process that answered."""
SERVED_VIA = "x-served-via"
MODELS = "x-served-models"
"""Names that an engine serves right now, comma separated."""
DONE = b"data: [DONE]\n\n"
SSE_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_object(status: int, message: str, *, code: str, request_id: str, param: str | None = None) -> dict[str, Any]:
    """The one error schema: OpenAI's ``error`` object, plus the request's id so that support can find it."""
    return {
        "error": {
            "message": message,
            "type": _TYPES.get(status, "server_error"),
            "code": code,
            "param": param,
            "request_id": request_id,
        }
    }


def event(payload: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


class EventSplitter:
    """Cuts a byte stream into the data of its server-sent events. Whoever judges this program has its own."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The data of every event that is whole by now."""
        blocks = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        self._rest = blocks.pop()
        return [block[6:] for block in blocks if block.startswith(b"data: ")]

    @property
    def empty(self) -> bool:
        """Whether no part of an event is waiting for its end."""
        return not self._rest
