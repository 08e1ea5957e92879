"""Who is told how a drill goes on while it does; the drill knows no more of them than this."""

from __future__ import annotations

from typing import Protocol

from servedrill.load.messages import Status


class Progress(Protocol):
    """Called from the drill's own thread, a few times a second at most."""

    def phase(self, name: str, step: str) -> None:
        """A phase or a step of one began."""

    def fault(self, name: str, target: str, *, active: bool) -> None:
        """A fault is in place, or healed."""

    def tick(self, status: Status | None) -> None:
        """Time passes; ``status`` is the load's latest, None without load."""


class Silent:
    """Says nothing."""

    def phase(self, name: str, step: str) -> None:
        """Nobody listens."""

    def fault(self, name: str, target: str, *, active: bool) -> None:
        """Nobody listens."""

    def tick(self, status: Status | None) -> None:
        """Nobody listens."""
