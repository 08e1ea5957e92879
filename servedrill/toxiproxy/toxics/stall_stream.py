"""Stall stream: after `after_events` events nothing comes for `duration` milliseconds; 0 means for ever.

The connection stays open and healthy to the eye of TCP: the fault that only a timeout between tokens finds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import Kind, View


@toxic("stall_stream")
@dataclass(frozen=True, slots=True)
class StallStream(HttpToxic):
    """`duration` is in milliseconds; 0 is for ever."""

    after_events: int = 0
    duration: int = 0

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: View = stub.state
        for unit in view.read(data):
            if unit.kind is Kind.EVENT and not view.mark_s and self._is_after(unit.nth, view):
                view.mark_s = stamp
                stub.evidence.streams_stalled += 1
            if view.mark_s and unit.kind is not Kind.HEAD and stamp < self._until_s(view):
                stub.evidence.events_delayed += unit.kind is Kind.EVENT
                stub.hold(view.wire(unit), stamp, self._until_s(view))
            else:
                stub.forward(view.wire(unit), stamp)

    def hold_again(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        stub.hold(data, stamp, self._until_s(stub.state))

    def _is_after(self, nth: int, view: View) -> bool:
        """Whether this event is the first that the stall holds; `[DONE]` and comments have no number of their own."""
        return nth > self.after_events or (nth == 0 and view.count >= max(self.after_events, 1))

    def _until_s(self, view: View) -> float:
        return view.mark_s + self.duration / 1000 if self.duration > 0 else math.inf
