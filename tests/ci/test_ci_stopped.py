"""A night that is ended from outside: everything is healed, and what there is is written, whatever ended it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ci_world import Ended, command, environment

from servedrill.commands.main import main
from servedrill.host.clock import wait_for
from servedrill.host.processes import with_variable
from servedrill.leases.reader import open_leases

DRILLS = """
import os
from pathlib import Path
from servedrill.drill.traffic import chat
from servedrill.faults.network import latency

pytest_plugins = ["pytester"]

def test_holds(drill):
    drill.load(chat(rate=5))
    drill.hold(0.5)

def test_is_cut_off(drill):
    drill.load(chat(rate=5))
    with drill.broken(latency(drill.stack, "engine-0", ms=1)):
        Path("broken").write_text(str(os.getpid()))
        drill.hold(300)

def test_never_begins(drill):
    pass
"""
TRIAL = "SERVEDRILL_TRIAL"


class Running:
    """`servedrill ci` on a small embedded stack, in the middle of a fault."""

    def __init__(self, folder: Path, **variables: str) -> None:
        (folder / "test_it.py").write_text(DRILLS)
        (folder / "stack.toml").write_text("[embedded]\nengines = 1\ngateways = 1\n")
        self.folder, self.mark = folder, secrets.token_hex(8)
        self.process = subprocess.Popen(
            command("test_it.py", "-p", "fixtures.drill", "-p", "no:cacheprovider", "--drill-stack", "stack.toml"),
            cwd=folder,
            env=environment(folder, **variables, **{TRIAL: self.mark}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        broken = folder / "broken"
        wait_for(lambda: broken.exists() and broken.read_text() != "", what="the fault", within_s=120)
        self.pytest = int(broken.read_text())

    def ended(self) -> Ended:
        """How, with nothing left of it."""
        text, _ = self.process.communicate(timeout=240)
        wait_for(lambda: not with_variable(f"{TRIAL}={self.mark}"), what="every process to end", within_s=60)
        ended = Ended(self.folder, self.process.returncode, text)
        assert all(open_leases(run / "leases.jsonl") == [] for run in ended.runs()), text
        return ended


def cancelled(running: Running) -> str:
    """As a CI system does it: SIGINT, then SIGTERM."""
    running.process.send_signal(signal.SIGINT)
    running.process.send_signal(signal.SIGTERM)
    return "it was stopped by SIGINT before its end"


def terminated(running: Running) -> str:
    running.process.send_signal(signal.SIGTERM)
    return "it was stopped by SIGTERM before its end"


def pytest_killed(running: Running) -> str:
    """As by the kernel, for want of memory."""
    os.kill(running.pytest, signal.SIGKILL)
    return "pytest did not get to its end: SIGKILL"


@pytest.mark.parametrize("end", [cancelled, terminated, pytest_killed], ids=lambda end: end.__name__)
def test_what_ran_is_told(tmp_path: Path, end: Callable[[Running], str]) -> None:
    """6, for nobody can say; both drills that began are in the artifacts, with the report."""
    running = Running(tmp_path)
    says = end(running)
    ended = running.ended()
    assert ended.status == 6, ended.text
    assert says in ended.result["reasons"], ended.text
    words = {nodeid.rpartition("::")[2]: word for nodeid, word in ended.result["tests"].items()}
    assert words["test_is_cut_off"] in ("inconclusive", "begun")
    assert "test_never_begins" not in words
    assert "another try" not in ended.text
    cases = {case.get("name"): case for case in ended.junit.iter("testcase")}
    assert cases["test_is_cut_off"].find("error") is not None
    assert "is_cut_off" in ended.summary
    assert "is_cut_off" in (tmp_path / ".servedrill/ci/report.html").read_text()


def test_a_job_that_was_killed_is_told_by_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """kill -9 of everything at once: the watchdog heals, ``--tell`` writes what was noted down."""
    running = Running(tmp_path)
    os.kill(running.process.pid, signal.SIGKILL)
    ended = running.ended()
    assert not (tmp_path / ".servedrill/ci/ci.json").exists()
    monkeypatch.chdir(tmp_path)
    assert main(["ci", "--tell", "--baseline", "none"]) == 6
    assert "pytest did not get to its end: it was killed" in capsys.readouterr().out
    assert ended.result["tests"]["test_it.py::test_is_cut_off"] == "begun"
    assert "is_cut_off" in (tmp_path / ".servedrill/ci/report.html").read_text()


def test_nothing_to_tell_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line."""
    assert main(["ci", "--tell", "--artifacts", str(tmp_path)]) == 4
    assert "nothing was noted down; expected the --artifacts of a `servedrill ci`" in capsys.readouterr().err
