"""Corrupt event: the JSON of the `nth` event of each stream is cut in half; the event itself is framed correctly."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy import events
from servedrill.toxiproxy.event_toxic import EventToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import Unit


@toxic("corrupt_event")
@dataclass(frozen=True, slots=True)
class CorruptEvent(EventToxic):
    """Breaks the JSON of one event."""

    def act(self, stub: HttpStub, unit: Unit, stamp: float) -> None:
        stub.evidence.events_changed += 1
        stub.forward(stub.state.event(events.broken(unit.data)), stamp)
