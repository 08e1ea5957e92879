"""Token rate: events leave no faster than `tokens_per_s`, as from an engine that shares its GPU with too many."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import EARLY_S, HttpStub, toxic
from servedrill.toxiproxy.view import View


@toxic("token_rate")
@dataclass(frozen=True, slots=True)
class TokenRate(HttpToxic):
    """`tokens_per_s` is the highest rate of events."""

    tokens_per_s: float = 0.0

    def problem(self) -> str | None:
        return None if self.tokens_per_s > 0 else "tokens_per_s has to be more than 0"

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: View = stub.state
        for unit in view.read(data):
            if unit.nth:
                self._pace(stub, view.wire(unit), stamp)
            else:
                stub.forward(view.wire(unit), stamp)

    def hold_again(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        self._pace(stub, data, stamp)

    def _pace(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        """The first event leaves at once, each later one a full interval behind the one before it."""
        view: View = stub.state
        due = max(stamp, view.mark_s)
        view.mark_s = due + 1 / self.tokens_per_s
        if due > stamp + EARLY_S:
            stub.evidence.events_delayed += 1
            stub.hold(data, stamp, due)
        else:
            stub.forward(data, stamp)
