"""Repeat event: the `nth` event of each stream comes twice, as after a retry that did not know what was delivered."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.event_toxic import EventToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import Unit


@toxic("repeat_event")
@dataclass(frozen=True, slots=True)
class RepeatEvent(EventToxic):
    """Sends one event twice."""

    def act(self, stub: HttpStub, unit: Unit, stamp: float) -> None:
        stub.evidence.events_repeated += 1
        for _ in range(2):
            stub.forward(stub.state.wire(unit), stamp)
