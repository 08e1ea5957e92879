"""What a fault is: something broken, how it is put back, and how both are proven."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from servedrill.leases.undo import Undo


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was measured of a fault's effect, or of its healing."""

    proven: bool
    observed: str
    figures: dict[str, float] = field(default_factory=dict)


class Fault(Protocol):
    """One thing that is broken on purpose."""

    @property
    def name(self) -> str:
        """Its kind: latency, process_kill ..."""

    @property
    def target(self) -> str:
        """The hop or replica that it is done to."""

    @property
    def attributes(self) -> dict[str, Any]:
        """Its parameters, for the history."""

    def undo(self) -> list[Undo]:
        """How it is undone, known before `inject`; written to disk first."""

    def inject(self) -> None:
        """Break it. Raises `FaultError`."""

    def evidence(self) -> Evidence:
        """Whether it took effect, measured while it is in place (or after it, for a fault of an instant)."""

    def heal(self) -> Evidence:
        """Put it back, again if need be, and measure that it is."""
