"""Keeps what a stack makes in the ledger, so that the watchdog can end it when nobody else does."""

from __future__ import annotations

from typing import Protocol

from servedrill.leases.guard import Guard
from servedrill.leases.shield import shielded
from servedrill.leases.undo import Undo


class UndoKeeper(Protocol):
    """Told how to undo what is about to be made."""

    def keep(self, kind: str, *undo: Undo) -> None:
        """On disk when it returns; ``kind`` is what was made: process, memory-group, containers, proxy."""


class StackKeeper:
    """An `UndoKeeper` over a guard's ledger, one for each stack; `close` when the stack is down."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._leases: list[tuple[str, tuple[Undo, ...]]] = []

    def keep(self, kind: str, *undo: Undo) -> None:
        """One lease for all of ``undo``, as long as the stack is up; none where there is nothing to undo."""
        if undo:
            self._leases.append((self._guard.ledger.open(f"stack-{kind}", list(undo)), undo))

    def close(self) -> None:
        """The stack has ended what it made; what it did not get to, as when it was interrupted a second time, is undone
        here."""
        with shielded():
            while self._leases:
                lease, undo = self._leases[-1]
                for one in reversed(undo):
                    one.carry_out()
                self._guard.ledger.close_lease(lease)
                self._leases.pop()
