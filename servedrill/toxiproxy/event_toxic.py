"""What toxics of one event share: they do something to the `nth` event of each stream and pass everything else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import HttpStub
from servedrill.toxiproxy.view import Unit, View


@dataclass(frozen=True, slots=True)
class EventToxic(HttpToxic, ABC):
    """Acts on the `nth` event with data of each stream, counted from 1; a subclass says what it does to it."""

    rewrites: ClassVar[bool] = True

    nth: int = 1

    def problem(self) -> str | None:
        """The events have no number 0."""
        return "nth counts from 1" if self.nth < 1 else None

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        """Pass every unit of the stream but one."""
        view: View = stub.state
        for unit in view.read(data):
            if unit.nth == self.nth:
                stub.hit()
                self.act(stub, unit, stamp)
            else:
                stub.forward(view.wire(unit), stamp)

    @abstractmethod
    def act(self, stub: HttpStub, unit: Unit, stamp: float) -> None:
        """Forward what becomes of the event, and count it."""
