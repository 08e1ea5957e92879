"""Error event: after `after_events` events the stream carries an error object, under the status 200 it began with.

With `terminate` the stream ends there with `[DONE]`, as engines do when a request fails half way; without it the stream
goes on as if nothing had been.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from servedrill.toxiproxy import events
from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import Kind, Unit, View


@toxic("error_event")
@dataclass(frozen=True, slots=True)
class ErrorEvent(HttpToxic):
    """`status` is the code in the error object, `message` its text."""

    rewrites: ClassVar[bool] = True

    after_events: int = 0
    status: int = 500
    message: str = "injected fault: the engine failed"
    terminate: bool = True

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: View = stub.state
        for unit in view.read(data):
            if unit.kind is Kind.EVENT and not view.mark_s and self._is_after(unit.nth, view):
                view.mark_s = stamp
                stub.hit()
                stub.evidence.events_added += 1
                stub.forward(view.event(self._event()), stamp)
                if self.terminate:
                    self._terminate(stub, unit, stamp)
                    continue
            stub.forward(view.wire(unit), stamp)

    def _is_after(self, nth: int, view: View) -> bool:
        return nth > self.after_events or (nth == 0 and view.count >= max(self.after_events, 1))

    def _terminate(self, stub: HttpStub, unit: Unit, stamp: float) -> None:
        view: View = stub.state
        stub.evidence.streams_cut += 1
        stub.evidence.events_cut += 1
        stub.forward(view.event(events.DONE), stamp)
        stub.forward(view.wire(Unit(Kind.END, b"")), stamp)
        if view.ends_with_connection:
            stub.cut()
        else:
            view.discard()

    def _event(self) -> bytes:
        kind = "invalid_request_error" if 400 <= self.status < 500 else "server_error"
        error = {"error": {"message": self.message, "type": kind, "code": self.status}}
        return f"data: {json.dumps(error)}\n\n".encode()
