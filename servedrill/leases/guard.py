"""This side of the watchdog: starts it, keeps its heart beating, notices when it is gone, says goodbye."""

from __future__ import annotations

import contextlib
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from servedrill.control.secret import run_secret
from servedrill.errors import FaultError, Unwatched
from servedrill.host.clock import suspended_s
from servedrill.host.processes import own_identity
from servedrill.leases.ledger import LEDGER, Ledger
from servedrill.leases.lever import pulled_for
from servedrill.leases.reader import open_leases
from servedrill.leases.watchdog import BEAT_EVERY_S, HEALING, READY, SILENCE_S

_ENDS_WITHIN_S = 30.0


class Guard:
    """A ledger and the watchdog over it; no fault may be injected without one."""

    def __init__(self, folder: Path) -> None:
        """Raises `FaultError` where the watchdog does not start."""
        self.ledger = Ledger(folder / LEDGER)
        self._folder, self._owner = folder, own_identity()
        run_secret()  # in the watchdog's environment: what it undoes may need it
        self._watch()

    @property
    def pid(self) -> int:
        """The watchdog's."""
        return self._process.pid

    @property
    def trouble(self) -> str:
        """Why nothing may be broken any more: halted, or nobody watches, or has not all the time; empty otherwise."""
        if halt := pulled_for(self._folder):
            return str(halt)
        if self._gave_up():
            if self._said == HEALING:
                still_s = max(self._longest_s, time.monotonic() - self._beat_s)
                return f"the watchdog healed it while the drill stood still for {still_s:.0f} s"
            status = self._process.wait(timeout=_ENDS_WITHIN_S)
            how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
            return f"the watchdog is gone ({how}): nobody would heal after a kill -9 of this process"
        asleep_s = suspended_s() - self._suspended_s
        return f"the machine was asleep for {asleep_s:.0f} s" if asleep_s > SILENCE_S else ""

    def check(self) -> None:
        """Raise `Unwatched` where there is `trouble`."""
        if trouble := self.trouble:
            raise Unwatched(trouble)

    def renew(self) -> None:
        """Another watchdog where this one is gone; what happened before is over. Raises `FaultError`."""
        if self._gave_up():
            self._let_go()
            self._watch()
        self._suspended_s = suspended_s()

    def close(self) -> None:
        """Let the watchdog go; what is still open of this process, or of one that is gone, it heals before it ends."""
        left = any(lease.falls_to(self._owner) for lease in open_leases(self.ledger.path))
        if left:
            self.renew()
        self._let_go(b"" if left else b"bye\n")
        self.ledger.close()

    def _watch(self) -> None:
        arguments = [str(self.ledger.path), str(self._owner.pid), str(self._owner.start_ticks)]
        with (self._folder / "watchdog.log").open("ab") as log:
            # Not tied to this process: it is what is left when this process is not.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "servedrill.leases.watchdog", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,  # what it says is seen in time
                start_new_session=True,
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        if self._process.stdout.readline() != READY:
            raise FaultError(f"the watchdog did not start; see {self._folder / 'watchdog.log'}")
        self._said: bytes | None = None
        """Its last word; empty where it ended without one."""
        self._suspended_s, self._beat_s, self._longest_s = suspended_s(), time.monotonic(), 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def _gave_up(self) -> bool:
        """Whether it heals, or has ended."""
        assert self._process.stdout is not None
        if self._said is None and select.select([self._process.stdout], [], [], 0)[0]:
            self._said = self._process.stdout.read(len(HEALING))
        return self._said is not None

    def _beat(self) -> None:
        assert self._process.stdin is not None
        while not self._over.wait(BEAT_EVERY_S):
            now_s = time.monotonic()
            self._longest_s, self._beat_s = max(self._longest_s, now_s - self._beat_s), now_s
            try:
                self._process.stdin.write(b".")
            except (BrokenPipeError, ValueError):
                return

    def _let_go(self, word: bytes = b"") -> None:
        """Wait for the watchdog's end, which the end of its pipe is, or the word before it."""
        self._over.set()
        self._thread.join()
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(word)
        self._process.stdin.close()
        self._process.wait(timeout=_ENDS_WITHIN_S)
        self._process.stdout.close()
