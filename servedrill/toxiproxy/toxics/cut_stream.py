"""Cut stream: the connection ends in the middle of an event stream, with a FIN or an RST.

After `after_events` events, or after `after_bytes` bytes of the body where that is given. The cut happens when more was
about to come, `[DONE]` included, so a stream that is cut is one that really lost something.
"""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import Kind, Unit, View


class _Passed(View):
    """A view, and how many bytes of this body went through."""

    __slots__ = ("body_bytes",)

    def __init__(self) -> None:
        super().__init__(responses=True)
        self.body_bytes = 0


@toxic("cut_stream")
@dataclass(frozen=True, slots=True)
class CutStream(HttpToxic):
    """`after_bytes` counts bytes of the body and goes before `after_events` where both are given."""

    after_events: int = 0
    after_bytes: int = 0
    reset: bool = False

    def new_state(self) -> View:
        return _Passed()

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: _Passed = stub.state
        for unit in view.read(data):
            if unit.kind is Kind.HEAD:
                view.body_bytes = 0
            if (
                unit.kind is not Kind.HEAD
                and unit.kind is not Kind.RAW
                and view.is_stream
                and self._is_over(view, unit)
            ):
                left = self.after_bytes - view.body_bytes
                if left > 0 and unit.data:
                    stub.forward(view.event(unit.data[:left]), stamp)
                self._cut(stub, unit)
                return
            if unit.kind is Kind.EVENT or unit.kind is Kind.BODY:
                view.body_bytes += len(unit.data)
            stub.forward(view.wire(unit), stamp)

    def _is_over(self, view: _Passed, unit: Unit) -> bool:
        if self.after_bytes > 0:
            return view.body_bytes + max(len(unit.data), 1) > self.after_bytes
        return unit.nth > self.after_events or (unit.nth == 0 and view.count >= self.after_events)

    def _cut(self, stub: HttpStub, unit: Unit) -> None:
        stub.evidence.streams_cut += 1
        stub.evidence.events_cut += unit.kind is Kind.EVENT
        if self.reset:
            stub.reset()
        else:
            stub.cut()
