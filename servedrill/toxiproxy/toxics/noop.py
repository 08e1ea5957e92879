"""Noop: passes everything. It is the control of an experiment: the cost of a toxic without its fault."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.toxic import Stub, toxic


@toxic("noop")
@dataclass(frozen=True, slots=True)
class Noop:
    """It has no attributes."""

    def feed(self, stub: Stub, data: bytes, stamp: float) -> None:
        stub.forward(data, stamp)
