"""Keeps what a stack makes in the ledger, so that the watchdog can end it when nobody else does."""

from __future__ import annotations

from typing import Protocol

from servedrill.leases.guard import Guard
from servedrill.leases.shield import shielded
from servedrill.leases.undo import Undo


class UndoKeeper(Protocol):
    """Told how to undo what is about to be made, or, where that cannot be known before, has just been."""

    def keep(self, kind: str, *undo: Undo) -> None:
        """On disk when it returns; ``kind`` is what was made: process, memory-group, containers, proxy."""


class StackKeeper:
    """An `UndoKeeper` over a guard's ledger, one for each stack; `close` when the stack is down."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._leases: list[str] = []

    def keep(self, kind: str, *undo: Undo) -> None:
        """One lease for all of ``undo``, as long as the stack is up; none where there is nothing to undo."""
        if undo:
            self._leases.append(self._guard.ledger.open(f"stack-{kind}", list(undo)))

    def close(self) -> None:
        """Everything is gone by now."""
        with shielded():
            for lease in self._leases:
                self._guard.ledger.close_lease(lease)
            self._leases.clear()
