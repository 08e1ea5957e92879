"""The catch rate: every shipped defect against the drill that has to turn red, one after another.

    python bench/catch_rate.py [PATTERN]

Prints a line for each and the rate at the end; exits 1 when one was missed. A defect counts as caught when its drill says FAIL.
"""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path

MODULES = ("gateway", "engine", "control")


def shipped() -> list[tuple[str, str]]:
    """``(drill, defect)`` for every class with ``caught_by``."""
    found = []
    for name in MODULES:
        module = importlib.import_module(f"servedrill.refstack.defects.{name}")
        for cls in vars(module).values():
            if inspect.isclass(cls) and "caught_by" in vars(cls):
                found.append((cls.caught_by, f"{module.__name__}:{cls.__name__}"))
    return found


def main() -> int:
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    wanted = [(drill, defect) for drill, defect in shipped() if pattern in f"{drill} {defect}"]
    caught = 0
    for drill, defect in wanted:
        file = next(Path("drills").glob(f"test_*_{drill}.py"))
        with tempfile.TemporaryDirectory() as runs:
            subprocess.run(
                [sys.executable, "-m", "pytest", "-q", str(file), "--defect", defect, "--runs", runs],
                stdout=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                check=False,
                timeout=240,
            )
            verdicts = json.loads((Path(runs) / "latest" / "verdicts.json").read_text())
        answer = verdicts[0]["answer"] if verdicts else "none"
        failed = [f["checker"] for f in (verdicts[0]["findings"] if verdicts else []) if f["answer"] == "fail"]
        caught += answer == "fail"
        print(
            f"{'caught' if answer == 'fail' else 'MISSED':6}  {defect.rpartition(':')[2]:28} {drill:18} {answer:12} {', '.join(dict.fromkeys(failed))}",
            flush=True,
        )
    print(f"{caught} of {len(wanted)} caught")
    return 0 if caught == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
