"""One pytest session as a process of its own: what ends this one ends it, and it gets to its end when it is asked to.

A CI job that is cancelled gets SIGINT or SIGTERM, and a few seconds. pytest is told once, as by Ctrl-C: it heals,
judges what there is and writes its reports. More signals change nothing, and none keeps us from writing ours.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from types import FrameType, TracebackType

from servedrill.host.launch import tied

_ENDS_WITHIN_S = 120
"""After it was told; then it is killed, and its watchdog heals."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STATUS_MAX = 6
"""The last of pytest's own, and ours."""


class Sessions:
    """A context manager, for the main thread: one session after the other, until somebody says stop."""

    def __init__(self) -> None:
        self.stopped_by = ""
        """The first signal that came; empty while none has."""
        self.died = ""
        """How the last session ended where it did not end by itself: a signal's name, a strange exit status."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Sessions:
        self._before = {number: signal.signal(number, self._told) for number in _SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, arguments: Sequence[str]) -> int:
        """pytest's exit status, negative where a signal ended it. Its output goes where ours does."""
        with _quoted():
            # A session of its own: Ctrl-C reaches it through us, once, and not by the terminal as well.
            self._process = subprocess.Popen(tied([sys.executable, "-m", "pytest", *arguments]), start_new_session=True)
            if self.stopped_by:  # before it was there to be told
                self._tell()
            status = self._process.wait()
            signal.alarm(0)
            self._process = None
        if status < 0:
            self.died = signal.Signals(-status).name
        elif status > _STATUS_MAX:
            self.died = f"exit status {status}"
        return status

    def _told(self, number: int, frame: FrameType | None) -> None:
        if not self.stopped_by:
            self.stopped_by = signal.Signals(number).name
            self._tell()

    def _tell(self) -> None:
        """As by Ctrl-C; what does not end then is killed."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            signal.signal(signal.SIGALRM, lambda *_: process.kill())
            signal.alarm(_ENDS_WITHIN_S)


@contextlib.contextmanager
def _quoted() -> Iterator[None]:
    """On GitHub a line of output may be a command; what a stack says must not be one."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        yield
        return
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", flush=True)
    try:
        yield
    finally:
        print(f"\n::{token}::", flush=True)
