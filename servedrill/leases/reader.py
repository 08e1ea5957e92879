"""Reads a ledger while it is written: whoever looks again reads only what is new."""

from __future__ import annotations

from pathlib import Path

import msgspec

from servedrill.leases.ledger import Closed, Opened

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
            try:
                entry = _decoder.decode(line)
            except msgspec.MsgspecError:
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


def open_leases(path: Path) -> list[Opened]:
    """As `LedgerReader.open_leases`, for a single look."""
    return LedgerReader(path).open_leases()
