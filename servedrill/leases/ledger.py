"""The ledger: which leases are open and how each is undone, on disk before anything is broken.

Several processes may write to one ledger, at once or one after the other: a lease's name says who opened it, so that
nobody closes another's.
"""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import msgspec

from servedrill.host.processes import ProcessId, own_identity
from servedrill.leases.undo import Undo

LEDGER = "leases.jsonl"
"""Its name in the folder of a run."""
_numbers = itertools.count(1)


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened"):
    """A lease: ``deadline_ns`` is monotonic, 0 for as long as the run lasts; ``owner`` is who opened it."""

    lease: str
    undo: list[Undo]
    deadline_ns: int = 0
    owner: ProcessId | None = None

    @property
    def of_a_fault(self) -> bool:
        """Whether something is broken; else something of ours is up."""
        return self.deadline_ns > 0

    def falls_to(self, process: ProcessId) -> bool:
        """Whether ``process``, or its watchdog, has to undo it: its own lease, or one whose owner is gone."""
        return self.owner is None or self.owner == process or not self.owner.alive


class Closed(msgspec.Struct, frozen=True, kw_only=True, tag="closed"):
    """The lease was healed."""

    lease: str


class Ledger:
    """Append-only, synced to disk on every line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def open(self, kind: str, undo: list[Undo], *, deadline_ns: int = 0) -> str:
        """Note how a new lease is undone; returns its name when that is on disk.

        Raises `OSError` when it cannot be, `TypeError` for a record that the watchdog could not carry out.

        The name is ``kind``, a number, and the process: its pid, and its start in hexadecimal, as pids come again.
        """
        for one in undo:
            if not isinstance(one, Undo):
                raise TypeError(f"{one!r} is no record of servedrill.leases.undo; RunCommand can say anything else")
        owner = own_identity()
        lease = f"{kind}-{next(_numbers)}.{owner.pid}-{owner.start_ticks:x}"
        self._write(Opened(lease=lease, undo=undo, deadline_ns=deadline_ns, owner=owner))
        return lease

    def close_lease(self, lease: str) -> None:
        """The lease of this very name was healed."""
        self._write(Closed(lease=lease))

    def close(self) -> None:
        """No more is written; what is open stays so."""
        os.close(self._fd)

    def _write(self, entry: Opened | Closed) -> None:
        line = b"\n" + msgspec.json.encode(entry) + b"\n"  # the first ends what anybody left half written
        if os.write(self._fd, line) != len(line):
            raise OSError(errno.ENOSPC, f"a lease does not fit into {self.path}; is the disk full?")
        os.fsync(self._fd)
