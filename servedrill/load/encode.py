"""A planned request as the bytes that go over the wire; what all requests of a class share is made once."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec

from servedrill.dialect import openai
from servedrill.history.dialect import Dialect
from servedrill.load.plan import RequestClass, Target
from servedrill.load.schedule import PlannedRequest
from servedrill.marks.traces import traceparent
from servedrill.oracle.prompts import expand

_encode = msgspec.json.Encoder().encode


class RequestEncoder:
    """Writes the requests of one class."""

    def __init__(self, cls: RequestClass, target: Target, *, api_key: str | None, dialect: Dialect) -> None:
        url = urlsplit(target.base_url)
        key = cls.api_key or api_key
        lines = [
            f"POST {openai.base(url.path)}{openai.PATHS[cls.route]} HTTP/1.1",
            f"Host: {url.netloc}",
            "User-Agent: servedrill",
            "Accept: application/json, text/event-stream",
            "Content-Type: application/json",
            *(f"{name}: {value}" for name, value in openai.bearer(key).items()),
            *([] if cls.keep_alive else ["Connection: close"]),
        ]
        self._cls, self._dialect, self._trace = cls, dialect, target.trace
        self._head = "".join(f"{line}\r\n" for line in lines)

    def encode(self, planned: PlannedRequest, request_id: str) -> bytes:
        """The whole request; every try sends the same bytes."""
        body = _encode(self._body(planned))
        key = f"{openai.IDEMPOTENCY_KEY}: {request_id}\r\n" if self._cls.idempotency else ""
        if self._trace:
            key += f"traceparent: {traceparent(self._trace, request_id)}\r\n"
        head = f"{self._head}{openai.REQUEST_ID}: {request_id}\r\n{key}Content-Length: {len(body)}\r\n\r\n"
        return head.encode("latin-1") + body

    def _body(self, planned: PlannedRequest) -> dict[str, Any]:
        body = openai.question(self._cls.route, self._cls.model, expand(planned.prompt))
        body["stream"] = planned.stream
        if planned.stream and "stream_options" not in self._dialect.without:
            body["stream_options"] = {"include_usage": True}
        if planned.n != 1:
            body["n"] = planned.n
        if planned.max_tokens is not None:
            body[self._dialect.max_tokens] = planned.max_tokens
        return body | {name: value for name, value in planned.params.items() if value is not None}
