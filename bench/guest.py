"""What it costs any pytest run that servedrill is installed: an empty suite with and without its plugin, by turns.

    python bench/guest.py [ROUNDS] [--check]

Prints CPU times (user and system) of both, the difference and the ratio, and the modules of servedrill that such a run
loads. ``--check``: exit status 1 where the difference is above `LIMIT_MS`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT_MS = 5.0
ROUNDS = 30
OTHERS = ["cacheprovider", "hypothesispytest", "anyio", "xdist", "xdist.looponfail", "timeout"]
"""Plugins that would add their own time, and its noise, to both."""


def cpu_ms(folder: Path, *more: str) -> float:
    """Of one pytest run in ``folder``, in ms."""
    without = [word for name in OTHERS for word in ("-p", f"no:{name}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *without, *more],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"pytest ended with {process.returncode}")
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
        (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        with_it, without_it = [], []
        for turn in range(rounds + 1):
            pair = cpu_ms(folder), cpu_ms(folder, "-p", "no:servedrill")
            if turn:  # the first one compiles
                with_it.append(pair[0])
                without_it.append(pair[1])
        difference = statistics.median(a - b for a, b in zip(with_it, without_it, strict=True))
        installed, absent = statistics.median(with_it), statistics.median(without_it)
        print(f"with the plugin    {installed:7.1f} ms of CPU, median of {rounds} runs; least {min(with_it):.1f}")
        print(f"without it         {absent:7.1f} ms; least {min(without_it):.1f}")
        least = min(with_it) - min(without_it)
        print(f"difference         {difference:7.1f} ms, median of pairs; of the least {least:.1f}")
        print(f"ratio              {installed / absent:7.3f}")
        print(*loaded(folder))
    return int("--check" in sys.argv and difference > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
