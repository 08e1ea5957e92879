"""`servedrill ci` as people run it: a process in a folder of its own, with drills on a stack of paper."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

ROOT = Path(__file__).parents[2]
DRILLS = ("spike", "storm", "swap")
PLUGINS = ("-p", "tests.worlds.nights")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """That of a job which has nothing of ours."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "SERVEDRILL_", "CI"))}
    return {
        **ours,
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "PYTEST_ADDOPTS": "",
        "XDG_RUNTIME_DIR": str(folder / "locks"),
        **more,
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "servedrill.commands.main", "ci", *arguments]


@dataclass
class Ended:
    """A night that is over."""

    folder: Path
    status: int
    text: str

    @property
    def result(self) -> Any:
        return json.loads((self.folder / ".servedrill/ci/ci.json").read_text())

    @property
    def junit(self) -> Element:
        return fromstring((self.folder / ".servedrill/ci/junit.xml").read_text())

    @property
    def summary(self) -> str:
        return (self.folder / ".servedrill/ci/summary.md").read_text()

    def runs(self) -> list[Path]:
        return sorted(path for path in (self.folder / ".servedrill/runs").glob("2*") if path.is_dir())


def night(folder: Path, plan: dict[str, list[str]], *arguments: str, **variables: str) -> Ended:
    """One, whose drills come to what ``plan`` says."""
    (folder / "drills").mkdir(exist_ok=True)
    (folder / "drills/test_all.py").write_text("".join(f"def test_{name}(drill): pass\n\n\n" for name in DRILLS))
    (folder / "night.json").write_text(json.dumps(plan))
    done = subprocess.run(
        command("drills", *PLUGINS, "-p", "no:cacheprovider", *arguments), cwd=folder,
        env=environment(folder, **variables), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return Ended(folder, done.returncode, done.stdout + done.stderr)
