"""Processes that are on record before they are there: a mark in their environment, by which they are found later.

    marked = Marked()
    on_undo.keep("process", marked.undo())
    process = marked.start(["some", "command"])

Whatever moment the starter is killed in, what it has started ends: before its first instruction it is tied to its
parent (`servedrill.host.launch`), and what that misses is found by its mark.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping
from typing import Any

from servedrill.host.launch import tied
from servedrill.leases.undo import MARK, EndMarked


class Marked:
    """One process to come, and all that will be below it."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(8)
        self.process: subprocess.Popen[bytes] | None = None
        """None before it was started."""

    def undo(self) -> EndMarked:
        """Ends it; to be put on record first."""
        return EndMarked(mark=self._mark)

    def start(
        self, command: list[str], *, env: Mapping[str, str] | None = None, tie: bool = True, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start it, to end with this thread at the latest; ``options`` are those of `subprocess.Popen`.

        Without ``tie``: what ends by itself when its input does, and has something to do then.
        """
        environment = {**(os.environ if env is None else env), MARK: self._mark}
        self.process = subprocess.Popen(tied(command) if tie else command, env=environment, **options)
        return self.process

    @property
    def status(self) -> int | None:
        """Its exit status, as `subprocess` has it; None while it runs, or was not started."""
        return None if self.process is None else self.process.poll()

    def end(self) -> None:
        """SIGKILL to it and to all that came of it; nothing to do a second time, or where its start was interrupted."""
        self.undo().carry_out()
        if self.process is not None:
            self.process.wait()
