"""Whoever watches a drill is gone, or has healed behind its back: it is told, and nothing is held against the stack."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from servedrill.host.clock import wait_for
from servedrill.leases.reader import open_leases

ROOT = Path(__file__).parents[2]
ALONE = {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
LAMP = """
import os, signal
from pathlib import Path
from servedrill.faults.fault import Evidence
from servedrill.leases.undo import WriteFile

class Lamp:
    name, target, attributes = "lamp", "here", {}
    def __init__(self, file):
        self.path = Path(file)
        self.path.write_text("off")
    def undo(self):
        return [WriteFile(path=str(self.path.absolute()), text="off")]
    def inject(self):
        self.path.write_text("on")
    def evidence(self):
        return Evidence(proven=True, observed=self.path.read_text())
    def heal(self):
        self.path.write_text("off")
        return Evidence(proven=True, observed="off")
"""
OURS = ("-p", "servedrill.plugin", "--drill-runs", "runs", "--drill-no-report")
PAPER = ("-p", "tests.worlds.paper")
DRILL = ("-p", "fixtures.drill")
EMBEDDED = """
[embedded]
engines = 1
gateways = 1
settings = { engine_limits = { blocks = 128 } }
"""


class Running:
    """pytest with drills, in a process of its own."""

    def __init__(self, folder: Path, text: str, *arguments: str) -> None:
        self.folder = folder
        (folder / "test_it.py").write_text(LAMP + text)
        command = [sys.executable, "-m", "pytest", *OURS]
        self.process = subprocess.Popen(
            [*command, *arguments], cwd=folder, env={**os.environ, **ALONE},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def ended(self) -> tuple[int, str]:
        text, _ = self.process.communicate(timeout=120)
        return self.process.returncode, text

    def until(self, name: str, text: str) -> None:
        """Wait for what a drill writes into a file."""
        file = self.folder / name
        wait_for(lambda: file.exists() and file.read_text() == text, what=f"{name} to be {text}", within_s=60)

    def stop_until_healed(self) -> None:
        """SIGSTOP, for as long as the watchdog takes to give it up and to heal."""
        self.process.send_signal(signal.SIGSTOP)
        log = self.folder / "runs" / "latest" / "leases.jsonl"
        wait_for(lambda: not open_leases(log), what="the watchdog to have healed", within_s=60)

    @property
    def verdicts(self) -> dict[str, dict[str, Any]]:
        path = self.folder / "runs" / "latest" / "verdicts.json"
        return {verdict["drill"]: verdict for verdict in json.loads(path.read_text())}


def because(verdict: dict[str, Any]) -> str:
    (finding,) = [one for one in verdict["findings"] if one["checker"] == "DrillWatched"]
    assert finding["answer"] == "inconclusive"
    return str(finding["observed"])


UNWATCHED = """
def watchdog_dies(drill):
    os.kill(drill._guard.pid, signal.SIGKILL)
    os.waitid(os.P_PID, drill._guard.pid, os.WEXITED | os.WNOWAIT)

def test_dies_before_a_fault(drill):
    watchdog_dies(drill)
    lamp = Lamp("never")
    lamp.inject = lambda: lamp.path.write_text("injected")
    with drill.broken(lamp):
        pass

def test_dies_in_a_fault(drill):
    with drill.broken(Lamp("lamp")):
        watchdog_dies(drill)
        drill.hold(60)

def test_dies_at_the_end(drill):
    watchdog_dies(drill)

def test_is_watched_again(drill):
    with drill.broken(Lamp("again")):
        drill.hold(0.3)
"""


def test_a_dead_watchdog_is_noticed(tmp_path: Path) -> None:
    """No new fault is injected, the drill ends, the verdict says why, exit code 6; the next drill has another one."""
    status, text = Running(tmp_path, UNWATCHED, *PAPER).ended()
    assert status == 6, text
    assert (tmp_path / "never").read_text() == "off"
    assert (tmp_path / "lamp").read_text() == "off"
    answers = {}
    for path in (tmp_path / "runs" / "latest").glob("*/verdict.json"):
        verdict = json.loads(path.read_text())
        answers[verdict["drill"]] = {one["checker"] for one in verdict["findings"]}
        if "DrillWatched" in answers[verdict["drill"]]:
            assert (
                because(verdict) == "the watchdog is gone (SIGKILL): nobody would heal after a kill -9 of this process"
            )
    assert {drill for drill, asked in answers.items() if "DrillWatched" not in asked} == {"is_watched_again"}
    assert len(answers) == 4
    assert text.count("the watchdog is gone (SIGKILL)") >= 3
    assert open_leases(tmp_path / "runs" / "latest" / "leases.jsonl") == []


STANDS_STILL = """
from servedrill.checkers.answered import NoFailures
from servedrill.drill.traffic import chat
from servedrill.faults.network import latency

def test_stands_still(drill):
    drill.expect(NoFailures(window="inject"))
    drill.load(chat(rate=20))
    drill.baseline(0.5)
    with drill.broken(latency(drill.stack, "engine-0", ms=1), window="inject"):
        Path("broken").write_text("yes")
        %s

def test_after_it(drill):
    drill.load(chat(rate=20))
    drill.baseline(0.5)
"""


@pytest.mark.parametrize(
    "body", ["drill.hold(60)", "import time; time.sleep(6); assert drill.stack.process('engine-0')"]
)
def test_a_drill_that_stood_still_is_told(tmp_path: Path, body: str) -> None:
    """The watchdog took it for dead and ended the stack: that is no fault of the stack's, whatever the drill comes to
    next, and the drill after it has a stack of its own."""
    (tmp_path / "stack.toml").write_text(EMBEDDED)
    running = Running(tmp_path, STANDS_STILL % body, *DRILL, "--drill-stack", "stack.toml")
    running.until("broken", "yes")
    running.stop_until_healed()
    running.process.send_signal(signal.SIGCONT)
    status, text = running.ended()
    verdict = running.verdicts["stands_still"]
    assert (verdict["answer"], status) == ("inconclusive", 6), text
    found = re.fullmatch(r"the watchdog healed it while the drill stood still for (\d+) s", because(verdict))
    assert found is not None
    assert int(found[1]) >= 3
    assert "DrillWatched" not in {one["checker"] for one in running.verdicts["after_it"]["findings"]}


def test_a_stack_that_was_ended_while_it_started_is_no_wrong_usage(tmp_path: Path) -> None:
    """Stopped in that moment, the drill finds its stack gone: a doubt, and not exit code 4."""
    (tmp_path / "stack.toml").write_text(EMBEDDED)
    running = Running(tmp_path, "def test_it(drill): pass\n", *DRILL, "--drill-stack", "stack.toml")
    log = tmp_path / "runs" / "latest" / "leases.jsonl"
    wait_for(lambda: len(open_leases(log)) >= 2, what="the stack to be started", within_s=60)
    running.stop_until_healed()
    running.process.send_signal(signal.SIGCONT)
    status, text = running.ended()
    assert status == 6, text
    assert "the watchdog healed it while the drill stood still" in text
