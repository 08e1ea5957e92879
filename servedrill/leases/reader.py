"""Reads a ledger while it is written: whoever looks again reads only what is new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from servedrill.leases.ledger import Closed, Opened
from servedrill.leases.undo import Undo

_decoder: msgspec.json.Decoder[Opened | Closed] = msgspec.json.Decoder(Opened | Closed)


class LedgerReader:
    """Remembers how far it has read, and which leases are open by then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._cut = b""
        """The beginning of a line whose end was not there yet."""
        self._open: dict[str, Opened] = {}

    def open_leases(self) -> list[Opened]:
        """Leases that were opened and never healed, the latest first: the order in which to heal."""
        for line in self._new_lines():
            entry = _entry(line)
            if entry is None:
                continue  # cut by a crash or a full disk, before its fault was injected
            if isinstance(entry, Opened):
                self._open[entry.lease] = entry
            else:
                self._open.pop(entry.lease, None)
        return list(reversed(self._open.values()))

    def _new_lines(self) -> list[bytes]:
        """Lines that have ended since the last look."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(new)
        *lines, self._cut = (self._cut + new).split(b"\n")
        return lines


def _entry(line: bytes) -> Opened | Closed | None:
    """What a line says. Of one that another version wrote, as much as this one knows: an undo that it can carry out is
    carried out, whatever stands beside it.
    """
    try:
        return _decoder.decode(line)
    except msgspec.MsgspecError:
        pass
    try:
        told: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        return msgspec.convert({**told, "undo": [one for one in told["undo"] if _known(one)]}, Opened)
    except (msgspec.MsgspecError, KeyError, TypeError):
        return None


def _known(undo: Any) -> bool:
    try:
        msgspec.convert(undo, Undo)
    except msgspec.MsgspecError:
        return False
    return True


def open_leases(path: Path) -> list[Opened]:
    """As `LedgerReader.open_leases`, for a single look."""
    return LedgerReader(path).open_leases()
