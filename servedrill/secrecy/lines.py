"""Somebody else's log, written without secrets while it comes."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from servedrill.secrecy.known import KNOWN

_PIPE_BYTES = 1 << 20
"""What a process may say while nobody reads: it must not wait for its log."""
_HELD_MAX = 1 << 16


class Lines:
    """Takes a log in pieces, split anywhere, and gives what may be written of it: lines are looked through whole."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """What is known to be whole by now; of a line without an end, all but what may still become a secret."""
        whole, end, self._held = (self._held + piece).rpartition(b"\n")
        said = KNOWN.hidden_bytes(whole + end)
        if len(self._held) > _HELD_MAX:
            line, kept = KNOWN.hidden_bytes(self._held), max(1, 2 * KNOWN.longest)
            said, self._held = said + line[:-kept], line[-kept:]
        return said

    def end(self) -> bytes:
        """The rest."""
        said, self._held = KNOWN.hidden_bytes(self._held), b""
        return said


class LogPipe:
    """A pipe in the place of a log file: what is written into ``inlet`` is in the file after `take`, without secrets.

    A file that cannot be written (a full disk) gets less, and nobody who writes is kept waiting.
    """

    def __init__(self, path: Path) -> None:
        self._lines = Lines()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.outlet, self.inlet = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.outlet, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.outlet, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def take(self) -> bool:
        """Write down what has come; False when nobody can write any more, and all is closed."""
        while True:
            try:
                piece = os.read(self.outlet, _HELD_MAX)
            except BlockingIOError:
                return True
            self._write(self._lines.feed(piece) if piece else self._lines.end())
            if not piece:
                os.close(self.outlet)
                os.close(self._file)
                return False

    def _write(self, said: bytes) -> None:
        with contextlib.suppress(OSError):
            while said:
                said = said[os.write(self._file, said) :]
