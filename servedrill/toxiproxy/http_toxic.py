"""What toxics that know HTTP share: a `View` as their state, and leaving a link without breaking its framing.

It is a convenience, not a requirement: it fills in the powers that all of them would write the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from servedrill.toxiproxy.toxic import HttpStub, Mark, Stub, Toxic
from servedrill.toxiproxy.view import View


class HttpToxic:
    """Joins with a view of the responses, flushes it at the end, leaves at a boundary."""

    __slots__ = ()

    knows_http: ClassVar[bool] = True
    rewrites: ClassVar[bool] = False
    """It may change the length of a body."""

    def new_state(self) -> View:
        """A view of the responses."""
        return View(responses=True, rewrites=self.rewrites)

    def start(self, stub: HttpStub) -> None:
        """Join the stream, or wait for a boundary."""
        stub.state.join(stub)

    def end(self, stub: Stub, mark: Mark, stamp: float) -> None:
        """Pass on what the view had kept, then the end."""
        rest = stub.state.rest()
        if rest:
            stub.forward(rest, stamp)
        stub.end(mark, stamp)

    def hold_again(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        """What was held is framed already."""
        stub.forward(data, stamp)

    def successor(self, stub: HttpStub) -> Toxic | None:
        """None at a boundary; else what passes the stream on until there is one."""
        return None if stub.state.is_clean else _Leaving()


@dataclass(frozen=True, slots=True)
class _Leaving(HttpToxic):
    """Passes the units of a view on until the link can do without it."""

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: View = stub.state
        for unit in view.read(data):
            stub.forward(view.wire(unit), stamp)
        if view.is_clean:
            stub.leave_link()
