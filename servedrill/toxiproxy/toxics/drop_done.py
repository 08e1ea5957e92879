"""Drop done: the terminal `data: [DONE]` never arrives, though the response ends as it should.

A client that counts a stream as complete because the body ended does not notice; one that checks does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from servedrill.toxiproxy import events
from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import Kind, View


@toxic("drop_done")
@dataclass(frozen=True, slots=True)
class DropDone(HttpToxic):
    """It has no attributes."""

    rewrites: ClassVar[bool] = True

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: View = stub.state
        for unit in view.read(data):
            if unit.kind is Kind.EVENT and events.is_done(unit.data):
                stub.evidence.events_dropped += 1
                stub.drop(unit.data)
            else:
                stub.forward(view.wire(unit), stamp)
