"""The watchdog: a process of its own session that heals when whoever broke things cannot.

It reads heartbeats from its standard input. Silence for `SILENCE_S`, or the end of the pipe (which is what ``kill -9``
of the other side looks like), and it undoes every open lease of that process, and every one whose owner is gone, the
latest first. A lease past its deadline is undone even while heartbeats go on. ``bye`` with no such lease open ends it.

    python -m servedrill.leases.watchdog LEDGER PID START_TICKS
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

from servedrill.host.processes import ProcessId
from servedrill.leases.ledger import Opened
from servedrill.leases.reader import LedgerReader

SILENCE_S = 3.0
BEAT_EVERY_S = 0.5


def main(ledger: Path, process: ProcessId) -> int:
    """Watch over ``process``, until it says goodbye or everything is undone; the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    reader, expired = LedgerReader(ledger), set[str]()
    heard = time.monotonic()
    while True:
        readable, _, _ = select.select([0], [], [], 0.1)
        if readable:
            data = os.read(0, 4096)
            if not data:
                break
            heard = time.monotonic()
            if b"bye" in data:
                return 0
        elif time.monotonic() - heard > SILENCE_S:
            break
        for lease in reader.open_leases():
            if lease.deadline_ns and time.monotonic_ns() > lease.deadline_ns and lease.lease not in expired:
                expired.add(lease.lease)
                heal(lease)
    for lease in reader.open_leases():
        if lease.falls_to(process):
            heal(lease)
    return 0


def heal(lease: Opened) -> None:
    """Undo one lease; a step that fails must not keep the next from being tried."""
    for undo in reversed(lease.undo):
        try:
            undo.carry_out()
        except Exception as error:
            sys.stderr.write(f"{lease.lease}: {undo}: {error!r}\n")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), ProcessId(int(sys.argv[2]), int(sys.argv[3]))))
