"""Where new connections go: the seam between the pool and whatever turns the stack's name into an address."""

from __future__ import annotations

from typing import Protocol


class Addresses(Protocol):
    """Where the next new connection goes."""

    failures: int

    async def pick(self) -> str:
        """One IP address, or a name for the system's resolver; raises `OSError` when there is none."""
        ...


class SystemName:
    """Leaves the name to the system's resolver."""

    def __init__(self, name: str) -> None:
        self.failures = 0
        self._name = name

    async def pick(self) -> str:
        return self._name
