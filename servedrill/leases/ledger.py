"""The ledger: which leases are open and how each is undone, on disk before anything is broken."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec

from servedrill.leases.undo import Undo


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened"):
    """A lease: ``deadline_ns`` is monotonic, 0 for one that lasts as long as the run."""

    lease: str
    undo: list[Undo]
    deadline_ns: int = 0


class Closed(msgspec.Struct, frozen=True, kw_only=True, tag="closed"):
    """The lease was healed."""

    lease: str


_decoder: msgspec.json.Decoder[Opened | Closed] = msgspec.json.Decoder(Opened | Closed)


class Ledger:
    """Append-only, synced to disk on every line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def open(self, lease: str, undo: list[Undo], *, deadline_ns: int = 0) -> None:
        """Note how ``lease`` is undone; returns when that is on disk. Raises `OSError` when it cannot be."""
        self._write(Opened(lease=lease, undo=undo, deadline_ns=deadline_ns))

    def close_lease(self, lease: str) -> None:
        """The lease was healed."""
        self._write(Closed(lease=lease))

    def close(self) -> None:
        os.close(self._fd)

    def _write(self, entry: Opened | Closed) -> None:
        line = msgspec.json.encode(entry) + b"\n"
        if os.write(self._fd, line) != len(line):
            raise OSError(errno.ENOSPC, f"a lease does not fit into {self.path}; is the disk full?")
        os.fsync(self._fd)


def open_leases(path: Path) -> list[Opened]:
    """Leases that were opened and never healed, the latest first: the order in which to heal."""
    leases: dict[str, Opened] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            entry = _decoder.decode(line)
        except msgspec.MsgspecError:
            continue  # cut by a crash or a full disk, before its fault was injected
        if isinstance(entry, Opened):
            leases[entry.lease] = entry
        else:
            leases.pop(entry.lease, None)
    return list(reversed(leases.values()))
