"""Delay headers: the head of each response comes `delay` milliseconds late, as from an engine with a long queue."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import Kind, View


@toxic("delay_headers")
@dataclass(frozen=True, slots=True)
class DelayHeaders(HttpToxic):
    """`delay` is in milliseconds."""

    delay: int = 0

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: View = stub.state
        for unit in view.read(data):
            if unit.kind is Kind.HEAD and self.delay > 0:
                stub.evidence.heads_delayed += 1
                view.mark_s = stamp
                stub.hold(unit.data, stamp, stamp + self.delay / 1000)
            else:
                stub.forward(view.wire(unit), stamp)

    def hold_again(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        stub.hold(data, stamp, stub.state.mark_s + self.delay / 1000)
