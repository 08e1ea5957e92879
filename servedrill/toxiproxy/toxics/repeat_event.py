"""Repeat event: the `nth` event of each stream comes twice, as after a retry that did not know what was delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import View


@toxic("repeat_event")
@dataclass(frozen=True, slots=True)
class RepeatEvent(HttpToxic):
    rewrites: ClassVar[bool] = True

    nth: int = 1

    def problem(self) -> str | None:
        return "nth counts from 1" if self.nth < 1 else None

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: View = stub.state
        for unit in view.read(data):
            stub.forward(view.wire(unit), stamp)
            if unit.nth == self.nth:
                stub.hit()
                stub.evidence.events_repeated += 1
                stub.forward(view.wire(unit), stamp)
