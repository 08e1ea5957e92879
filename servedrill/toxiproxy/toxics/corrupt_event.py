"""Corrupt event: the JSON of the `nth` event of each stream is cut in half; the event itself is framed correctly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from servedrill.toxiproxy import events
from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import View


@toxic("corrupt_event")
@dataclass(frozen=True, slots=True)
class CorruptEvent(HttpToxic):
    rewrites: ClassVar[bool] = True

    nth: int = 1

    def problem(self) -> str | None:
        return "nth counts from 1" if self.nth < 1 else None

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: View = stub.state
        for unit in view.read(data):
            if unit.nth == self.nth:
                stub.hit()
                stub.evidence.events_changed += 1
                stub.forward(view.event(events.broken(unit.data)), stamp)
            else:
                stub.forward(view.wire(unit), stamp)
