"""A process that breaks says why, and no secret: its traceback is in a log, or in the list of warnings."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worlds.paper import run_drills

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
KEY = "sk-Parrot-7391-Geheimnis"
BEGIN = f"""
from servedrill.secrecy.known import KNOWN
from servedrill.secrecy.crashes import hide_crashes
import threading
KNOWN.learn({KEY!r})
hide_crashes()
def breaks():
    raise RuntimeError("cannot use " + {KEY!r} * 2)
"""


@pytest.mark.parametrize("ends", ["breaks()", "threading.Thread(target=breaks).start()"])
def test_a_traceback_has_no_secret(ends: str) -> None:
    """Of the main thread and of another one, the line of source that it shows included."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + ends], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert "RuntimeError: cannot use \u2022\u2022\u2022" in done.stderr
    assert KEY not in done.stderr + done.stdout


def test_every_program_that_is_told_secrets_hides_its_crashes() -> None:
    """Whoever learns those of a plan or a job, right after it."""
    told = []
    for path in (ROOT / "servedrill").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name == "main":
                calls = [ast.unparse(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)]
                if "KNOWN.learn" in calls:
                    told.append(path.stem)
                    assert "hide_crashes" in calls, path
    assert {"worker", "supervisor", "containers"} <= set(told)


def test_a_warning_of_a_thread_that_broke_has_no_secret(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytest lists it with its traceback."""
    monkeypatch.setenv("THE_KEY", KEY)
    pytester.makepyfile(
        test_it="import os, threading\n"
        "from servedrill.secrecy.known import secret_in\n\n"
        "def breaks():\n    raise RuntimeError(os.environ['THE_KEY'])\n\n"
        "def test_holds(drill):\n    secret_in('THE_KEY')\n"
        "    thread = threading.Thread(target=breaks)\n    thread.start()\n    thread.join()\n"
    )
    said = run_drills(pytester).stdout.str()
    assert "PytestUnhandledThreadExceptionWarning" in said or "RuntimeError" in said
    assert KEY not in said
