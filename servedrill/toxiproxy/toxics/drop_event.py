"""Drop event: the `nth` event of each stream is missing; everything else is there, and in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import View


@toxic("drop_event")
@dataclass(frozen=True, slots=True)
class DropEvent(HttpToxic):
    rewrites: ClassVar[bool] = True

    nth: int = 1

    def problem(self) -> str | None:
        return "nth counts from 1" if self.nth < 1 else None

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: View = stub.state
        for unit in view.read(data):
            if unit.nth == self.nth:
                stub.evidence.events_dropped += 1
                stub.drop(unit.data)
            else:
                stub.forward(view.wire(unit), stamp)
