"""What runs have left: leases that are still open in their ledgers, and whose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from servedrill.leases.ledger import LEDGER, Ledger, Opened
from servedrill.leases.reader import open_leases
from servedrill.leases.watchdog import heal


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """One open lease of one run."""

    run: Path
    lease: Opened

    @property
    def running(self) -> bool:
        """Whether whoever opened it is still there, and will undo it."""
        return self.lease.owner is not None and self.lease.owner.alive

    @property
    def what(self) -> str:
        """``latency`` of ``latency-1.4711-5f``."""
        return self.lease.lease.rsplit("-", 2)[0]

    def undo(self) -> bool:
        """Carry it out and close it; False where a part of it could not be tried, and it stays open."""
        if not heal(self.lease):
            return False
        ledger = Ledger(self.run / LEDGER)
        try:
            ledger.close_lease(self.lease.lease)
        finally:
            ledger.close()
        return True


def left_in(runs: Path) -> Iterator[Left]:
    """Of every run of a folder, the latest first."""
    for path in sorted(runs.glob(f"*/{LEDGER}"), reverse=True):
        if not path.parent.is_symlink():
            for lease in open_leases(path):
                yield Left(run=path.parent, lease=lease)
