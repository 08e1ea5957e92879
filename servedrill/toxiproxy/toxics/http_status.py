"""HTTP status: requests are answered by the proxy itself with an error; the upstream never sees them.

It can fail N times and then let requests succeed. It answers as an OpenAI-style server does, with the request's id, and
`Retry-After` where asked for. On a keep-alive connection the next request passes as usual; pipelined answers keep their
order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import ClassVar

from servedrill.toxiproxy.http1 import Head
from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.tap import Answer
from servedrill.toxiproxy.toxic import HttpStub, Toxic, toxic
from servedrill.toxiproxy.view import Kind, View

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ID = "x-request-id"
_MARK = "x-servedrill-fault: http_status"
"""What tells an answer of ours from the engine's own; the tap says ``toxic`` of it, too."""


class _Requests(View):
    """A view of the requests, whether the present one is being answered here, and whether it is the last."""

    __slots__ = ("answering", "leaving")

    def __init__(self) -> None:
        super().__init__(responses=False)
        self.answering = self.leaving = False

    @property
    def is_clean(self) -> bool:
        return not self.answering and super().is_clean


@toxic("http_status")
@dataclass(frozen=True, slots=True)
class HttpStatus(HttpToxic):
    """`retry_after` is in seconds, 0 for no header; `fail_times` counts answers, 0 for no end; `path` is a prefix."""

    direction: ClassVar[str] = "upstream"
    """Requests go up; an answer made here goes down through the toxics of the other direction."""

    status: int = 503
    retry_after: float = 0.0
    body_message: str = ""
    fail_times: int = 0
    probability: float = 1.0
    path: str = ""

    def problem(self) -> str | None:
        if not 200 <= self.status <= 599:
            return "status has to be between 200 and 599"
        if not 0 <= self.retry_after < 1e9:
            return "retry_after is in seconds and cannot be negative"
        return None if 0 <= self.probability <= 1 else "probability has to be between 0 and 1"

    def new_state(self) -> View:
        return _Requests()

    def start(self, stub: HttpStub) -> None:
        HttpToxic.start(self, stub)
        stub.state.leaving = False

    def successor(self, stub: HttpStub) -> Toxic | None:
        """An answer that was begun is finished: upstream has not seen the beginning of its request."""
        return None if stub.state.is_clean else _LastAnswer(**{f.name: getattr(self, f.name) for f in fields(self)})

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: _Requests = stub.state
        for unit in view.read(data):
            if unit.kind is Kind.HEAD:
                assert view.head is not None
                view.answering = self._fails(stub, view.head)
                if view.answering and "100-continue" in view.head.fields.get("expect", ""):
                    self._answer(stub, view.head, closes=True)  # The body may never come.
            if unit.kind is Kind.RAW or not view.answering:
                stub.forward(view.wire(unit), stamp)
            elif unit.kind is Kind.END and view.head is not None:
                view.answering = False
                if "100-continue" not in view.head.fields.get("expect", ""):
                    self._answer(stub, view.head, closes=_closes(view.head))
        if view.leaving and view.is_clean:
            stub.leave_link()

    def _fails(self, stub: HttpStub, head: Head) -> bool:
        if stub.state.leaving or not head.first[1].startswith(self.path):
            return False
        if self.fail_times > 0 and stub.evidence.answers_made >= self.fail_times:
            return False
        return self.probability >= 1 or stub.random.random() < self.probability

    def _answer(self, stub: HttpStub, head: Head, *, closes: bool) -> None:
        request_id = head.fields.get(_ID)
        body = self._body(request_id)
        try:
            reason = HTTPStatus(self.status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {reason}", "content-type: application/json", f"content-length: {len(body)}"]
        lines += [_MARK, *([f"{_ID}: {request_id}"] if request_id else [])]
        if self.retry_after > 0:
            lines.append(f"retry-after: {self.retry_after:g}")
        if closes:
            lines.append("connection: close")
        raw = "\r\n".join([*lines, "", ""]).encode() + (b"" if head.first[0] == "HEAD" else body)
        stub.answer(stub.state.ordinal, Answer(raw, closes), self.status, self.retry_after or None)

    def _body(self, request_id: str | None) -> bytes:
        """OpenAI's error object as engines have it, with the request's id where the client gave one."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        message = self.body_message or f"injected fault: status {self.status}"
        error = {"message": message, "type": kind, "param": None, "code": self.status}
        return json.dumps({"error": error | ({"request_id": request_id} if request_id else {})}).encode()


@dataclass(frozen=True, slots=True)
class _LastAnswer(HttpStatus):
    """Takes no further request, and goes when it can."""

    def start(self, stub: HttpStub) -> None:
        stub.state.leaving = True


def _closes(head: Head) -> bool:
    wish = head.fields.get("connection", "").lower()
    return "close" in wish or (head.first[2] == "HTTP/1.0" and "keep-alive" not in wish)
