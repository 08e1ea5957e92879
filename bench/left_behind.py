"""What an interrupted run leaves behind: drills are killed at random moments, and the machine is looked at.

    python bench/left_behind.py [TRIALS] [SEED]

Each trial starts one of the drills, sends SIGINT or SIGKILL (in turn) to pytest alone after a random time, and looks
5 s later at the latest for processes that came of it, whose ports end with them, and for memory cgroups. Prints a line
for each; exits 1 when one left something.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

WITHIN_S = 5.0
SIGINT_WITHIN_S = 15.0
"""Ctrl-C ends a drill in order, which writes its verdict; SIGKILL leaves everything to the watchdog."""


def processes(mark: str) -> list[str]:
    """Those that have the trial's mark in their environment, as every process that comes of it has."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (path / "environ").read_bytes():
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"{path.name} {command[:80]}")
    return found


def groups(runs: Path) -> list[str]:
    """Memory cgroups that the trial's drills made, by their undo records, and that are still there."""
    named = {
        path for file in runs.glob("*/leases.jsonl") for path in re.findall(r"/sys/fs/cgroup/[^\"]+", file.read_text())
    }
    return sorted(path for path in named if Path(path).is_dir())


def trials(count: int, chance: random.Random) -> Iterator[tuple[signal.Signals, float, float, list[str]]]:
    """``(signal, when, clean after, what is left)``; seconds."""
    for number in range(count):
        mark = f"SERVEDRILL_TRIAL={secrets.token_hex(8)}"
        which = (signal.SIGINT, signal.SIGKILL)[number % 2]
        drill, when_s = chance.choice(sorted(Path("drills").glob("test_*.py"))), chance.uniform(0.3, 18.0)
        with tempfile.TemporaryDirectory() as runs:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-q", str(drill), "--drill-runs", runs],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=os.environ | dict([mark.split("=")]),
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(when_s)
            process.send_signal(which)
            sent = time.monotonic()
            process.wait(60)
            within_s = WITHIN_S if which is signal.SIGKILL else SIGINT_WITHIN_S
            while (rest := [*processes(mark), *groups(Path(runs))]) and time.monotonic() - sent < within_s:
                time.sleep(0.05)
            yield which, when_s, time.monotonic() - sent, rest


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    print(f"seed {seed}")
    bad = 0
    for which, when_s, after_s, rest in trials(count, random.Random(seed)):
        bad += bool(rest)
        found = "LEFT " + "; ".join(rest) if rest else f"clean within {after_s:.2f} s"
        print(f"{which.name:7} after {when_s:5.1f} s: {found}", flush=True)
    print(f"{count - bad} of {count} clean")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
