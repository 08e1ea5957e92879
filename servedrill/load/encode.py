"""A planned request as the bytes that go over the wire; what all requests of a class share is made once."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec

from servedrill.load.plan import RequestClass, Target
from servedrill.load.schedule import PlannedRequest
from servedrill.oracle.prompts import expand

_PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
_encode = msgspec.json.Encoder().encode


class RequestEncoder:
    """Writes the requests of one class."""

    def __init__(self, cls: RequestClass, target: Target, *, api_key: str | None) -> None:
        url = urlsplit(target.base_url)
        key = cls.api_key or api_key
        lines = [
            f"POST {url.path.rstrip('/').removesuffix('/v1')}{_PATHS[cls.route]} HTTP/1.1",
            f"Host: {url.netloc}",
            "User-Agent: servedrill",
            "Accept: application/json, text/event-stream",
            "Content-Type: application/json",
            *([f"Authorization: Bearer {key}"] if key else []),
            *([] if cls.keep_alive else ["Connection: close"]),
        ]
        self._cls = cls
        self._head = "".join(f"{line}\r\n" for line in lines)

    def encode(self, planned: PlannedRequest, request_id: str) -> bytes:
        """The whole request; every try sends the same bytes."""
        body = _encode(self._body(planned))
        key = f"idempotency-key: {request_id}\r\n" if self._cls.idempotency else ""
        head = f"{self._head}x-request-id: {request_id}\r\n{key}Content-Length: {len(body)}\r\n\r\n"
        return head.encode("latin-1") + body

    def _body(self, planned: PlannedRequest) -> dict[str, Any]:
        prompt = expand(planned.prompt)
        body: dict[str, Any] = {"model": self._cls.model}
        if self._cls.route == "chat":
            body["messages"] = [{"role": "user", "content": prompt}]
        else:
            body["prompt"] = prompt
        body["stream"] = planned.stream
        if planned.stream:
            body["stream_options"] = {"include_usage": True}
        if planned.n != 1:
            body["n"] = planned.n
        if planned.max_tokens is not None:
            body["max_tokens"] = planned.max_tokens
        return body | planned.params
