"""What it costs any pytest run that servedrill is installed: the start of pytest with and without its plugin, by turns.

    python bench/guest.py [ROUNDS] [--check]

Each round is ``pytest --collect-only`` in an empty folder, with the plugin and with ``-p no:servedrill``, in an order
that changes; what it takes to import pytest itself is left out, as it would only be noise. Prints CPU times (user and
system) of both, the difference and the ratio, and the modules of servedrill that a run without drills loads.
``--check``: exit status 1 where the difference is above `LIMIT_MS`. With PYTHONDONTWRITEBYTECODE, as in many images,
pytest compiles every plugin anew each time: that is told, and counts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

LIMIT_MS = 5.0
ROUNDS = 200
OTHERS = ["cacheprovider", "hypothesispytest", "anyio", "xdist", "xdist.looponfail", "timeout"]
"""Plugins that would add their own time, and its noise, to both."""


def cpu_ms(folder: Path, *more: str) -> float:
    """Of one start of pytest in ``folder``, in ms; a fork of this process, which has imported pytest but not ours."""
    without = [word for name in OTHERS for word in ("-p", f"no:{name}")]
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(pytest.main(["-q", "--collect-only", *without, *more]))
    _, status, used = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) != pytest.ExitCode.NO_TESTS_COLLECTED:
        raise SystemExit(f"pytest ended with {os.waitstatus_to_exitcode(status)}")
    return (used.ru_utime + used.ru_stime) * 1000


def loaded(folder: Path) -> list[str]:
    """Modules of servedrill that a run without drills has in the end."""
    (folder / "test_loaded.py").write_text(
        "import sys\n\ndef test_loaded():\n"
        "    print([name for name in sorted(sys.modules) if name.startswith('servedrill')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-qs", "-p", "no:cacheprovider", "test_loaded.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if line.startswith("[")]


def main() -> int:
    rounds = next((int(word) for word in sys.argv[1:] if word.isdigit()), ROUNDS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with_it, without_it = [], []
        for turn in range(rounds + 1):
            sides = [((), with_it), (("-p", "no:servedrill"), without_it)]
            for arguments, taken in sides if turn % 2 else reversed(sides):
                spent = cpu_ms(folder, *arguments)
                if turn:  # the first one compiles
                    taken.append(spent)
        differences = [a - b for a, b in zip(with_it, without_it, strict=True)]
        difference = statistics.median(differences)
        error = statistics.stdev(differences) / len(differences) ** 0.5
        installed, absent = statistics.median(with_it), statistics.median(without_it)
        print(f"with the plugin    {installed:7.1f} ms of CPU, median of {rounds} runs; least {min(with_it):.1f}")
        print(f"without it         {absent:7.1f} ms; least {min(without_it):.1f}")
        least, mean = min(with_it) - min(without_it), statistics.mean(differences)
        print(f"compiled           {'each time' if sys.dont_write_bytecode else 'once'}")
        print(f"difference         {difference:7.1f} ms, median; mean {mean:.1f} ± {error:.1f}; least {least:.1f}")
        print(f"ratio              {installed / absent:7.3f}")
        print(*loaded(folder))
    return int("--check" in sys.argv and difference > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
