"""This side of the watchdog: starts it, keeps its heart beating, says goodbye."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from pathlib import Path

from servedrill.control.secret import run_secret
from servedrill.errors import FaultError
from servedrill.host.processes import own_identity
from servedrill.leases.ledger import Ledger
from servedrill.leases.reader import open_leases
from servedrill.leases.watchdog import BEAT_EVERY_S


class Guard:
    """A ledger and the watchdog over it; no fault may be injected without one."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder / "leases.jsonl")
        self._owner = own_identity()
        run_secret()  # in the watchdog's environment: what it undoes may need it
        arguments = [str(self.ledger.path), str(self._owner.pid), str(self._owner.start_ticks)]
        with (folder / "watchdog.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "servedrill.leases.watchdog", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise FaultError(f"the watchdog did not start; see {folder / 'watchdog.log'}")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The watchdog's."""
        return self._process.pid

    def close(self) -> None:
        """Let the watchdog go; what is still open of this process, or of one that is gone, it heals before it ends."""
        self._over.set()
        self._thread.join()
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            if not any(lease.falls_to(self._owner) for lease in open_leases(self.ledger.path)):
                self._process.stdin.write(b"bye\n")
                self._process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()
        self.ledger.close()

    def _beat(self) -> None:
        assert self._process.stdin is not None
        while not self._over.wait(BEAT_EVERY_S):
            try:
                self._process.stdin.write(b".")
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                return
