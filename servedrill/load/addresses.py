"""Where new connections go: the seam between the pool and what resolves the stack's name."""

from __future__ import annotations

from typing import Protocol


class Addresses(Protocol):
    """Where the next new connection goes."""

    failures: int
    """How often the name could not be resolved anew."""

    async def pick(self) -> str:
        """One IP address, or a name for the system's resolver; raises `OSError` when there is none."""
        ...


class SystemName:
    """Leaves the name to the system's resolver."""

    def __init__(self, name: str) -> None:
        self.failures = 0
        self._name = name

    async def pick(self) -> str:
        """The name itself."""
        return self._name
