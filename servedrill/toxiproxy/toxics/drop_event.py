"""Drop event: the `nth` event of each stream is missing; everything else is there, and in order."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.event_toxic import EventToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import Unit


@toxic("drop_event")
@dataclass(frozen=True, slots=True)
class DropEvent(EventToxic):
    """Loses one event."""

    def act(self, stub: HttpStub, unit: Unit, stamp: float) -> None:
        stub.evidence.events_dropped += 1
        stub.drop(unit.data)
