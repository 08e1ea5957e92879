"""The watchdog: a process of its own session that heals when whoever broke things cannot.

It reads heartbeats from its standard input. Silence for `SILENCE_S`, or the end of the pipe (which is what ``kill -9``
of the other side looks like), and it undoes every open lease of that process, and every one whose owner is gone, the
latest first, and closes it. A lease past its deadline is undone even while heartbeats go on, and stays open: who opened
it may yet break something; so is every fault while the safety lever is pulled, again and again. ``bye`` with no such
lease open ends it.

    python -m servedrill.leases.watchdog LEDGER PID START_TICKS
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path

from servedrill.host.processes import ProcessId
from servedrill.leases.ledger import Ledger, Opened
from servedrill.leases.lever import pulled_for
from servedrill.leases.reader import LedgerReader

SILENCE_S = 3.0
BEAT_EVERY_S = 0.5
HALTED_EVERY_S = 0.5
"""How often a fault is undone while the lever is pulled: whoever does not know yet may be about to break it."""
READY, HEALING = b"ready\n", b"healing\n"


def main(ledger: Path, process: ProcessId) -> int:
    """Watch over ``process``, until it says goodbye or everything is undone; the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    say(READY)
    reader, expired = LedgerReader(ledger), set[str]()
    heard, halted = time.monotonic(), -HALTED_EVERY_S
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
            say(HEALING)
            break
        now_ns, halting = time.monotonic_ns(), False
        if time.monotonic() - halted > HALTED_EVERY_S and pulled_for(ledger.parent):
            halted, halting = time.monotonic(), True
        for lease in reader.open_leases():
            late = lease.of_a_fault and now_ns > lease.deadline_ns and lease.lease not in expired
            if late or (halting and lease.of_a_fault):
                expired.add(lease.lease)
                heal(lease)
    for lease in reader.open_leases():
        if lease.falls_to(process) and heal(lease):
            with contextlib.suppress(OSError):  # on a full disk it stays open, and is healed all the same
                Ledger(ledger).close_lease(lease.lease)
    return 0


def say(word: bytes) -> None:
    """To the other side, where there is one left."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, word)


def heal(lease: Opened) -> bool:
    """Undo one lease, and say whether all of it could be tried; a step that fails keeps no other from it."""
    whole = True
    for undo in reversed(lease.undo):
        try:
            undo.carry_out()
        except Exception as error:
            whole = False
            sys.stderr.write(f"{lease.lease}: {undo}: {error!r}\n")
    return whole


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), ProcessId(int(sys.argv[2]), int(sys.argv[3]))))
