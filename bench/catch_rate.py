"""The catch rate: every shipped defect against the drill that has to turn red, one after another.

    python bench/catch_rate.py [--jobs N] [PATTERN]

Prints a line for each and the rate at the end; exits 1 when one was missed. A defect counts as caught when its drill
says FAIL. With several jobs drills run beside each other; one that was missed then is tried once more alone, and said
to have been.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from servedrill.refstack import defects


def shipped() -> list[tuple[str, str]]:
    """``(drill, defect)`` for every class with ``caught_by``."""
    found = []
    for one in pkgutil.iter_modules(defects.__path__):
        module = importlib.import_module(f"{defects.__name__}.{one.name}")
        for cls in vars(module).values():
            if inspect.isclass(cls) and "caught_by" in vars(cls):
                found.append((cls.caught_by, f"{module.__name__}:{cls.__name__}"))
    return found


def drilled(drill: str, defect: str) -> tuple[str, list[str]]:
    """The verdict's answer and the checkers that said FAIL."""
    file = next(Path("drills").glob(f"test_*_{drill}.py"))
    with tempfile.TemporaryDirectory() as runs:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                str(file),
                "--drill-defect",
                defect,
                "--drill-runs",
                runs,
                "--drill-no-report",
            ],
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=240,
        )
        verdicts = json.loads((Path(runs) / "latest" / "verdicts.json").read_text())
    if not verdicts:
        return "none", []
    failed = [f["checker"] for f in verdicts[0]["findings"] if f["answer"] == "fail"]
    return verdicts[0]["answer"], list(dict.fromkeys(failed))


def line(drill: str, defect: str, answer: str, failed: list[str], note: str = "") -> str:
    word = "caught" if answer == "fail" else "MISSED"
    return f"{word:6}  {defect.rpartition(':')[2]:28} {drill:18} {answer:12} {', '.join(failed)}{note}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "pattern", nargs="?", default="", metavar="PATTERN", help="a part of the drill's or the defect's name"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="drills beside each other (default: 1)")
    given = parser.parse_args()
    wanted = [(drill, defect) for drill, defect in shipped() if given.pattern in f"{drill} {defect}"]
    missed = []
    with ThreadPoolExecutor(given.jobs) as pool:
        for one, (answer, failed) in zip(wanted, pool.map(lambda one: drilled(*one), wanted), strict=True):
            if answer != "fail":
                missed.append(one)
            print(line(*one, answer, failed), flush=True)
    if given.jobs > 1:
        for one in list(missed):
            answer, failed = drilled(*one)
            print(line(*one, answer, failed, note=" (alone)"), flush=True)
            if answer == "fail":
                missed.remove(one)
    print(f"{len(wanted) - len(missed)} of {len(wanted)} caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
