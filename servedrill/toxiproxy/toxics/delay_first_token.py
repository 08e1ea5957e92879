"""Delay first token: the head comes in time, the first event of the stream `delay` milliseconds late.

It is what a client sees of a long prefill, and what tells a TTFT timeout from a timeout on headers.
"""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import View


@toxic("delay_first_token")
@dataclass(frozen=True, slots=True)
class DelayFirstToken(HttpToxic):
    """`delay` is in milliseconds."""

    delay: int = 0

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: View = stub.state
        for unit in view.read(data):
            if unit.nth == 1 and self.delay > 0:
                stub.evidence.events_delayed += 1
                view.mark_s = stamp
                stub.hold(view.wire(unit), stamp, stamp + self.delay / 1000)
            else:
                stub.forward(view.wire(unit), stamp)

    def hold_again(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        stub.hold(data, stamp, stub.state.mark_s + self.delay / 1000)
