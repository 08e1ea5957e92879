"""The plugin, in pytest runs of its own: outcomes, exit codes, what is written, what wrong usage says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servedrill.commands.main import main
from servedrill.host.clock import wait_for

ROOT = Path(__file__).parents[2]

PROVEN = '''
from servedrill.checkers.answered import NoFailures
from servedrill.drill.traffic import chat
from servedrill.faults.network import latency


def test_mini(drill):
    """A little latency hurts nobody."""
    drill.load(chat(rate=30))
    drill.baseline(1.0)
    with drill.broken(latency(drill.stack, "engine-0", ms=30)):
        drill.hold(HELD_S)
    drill.recover(0.5)
    drill.expect(NoFailures(window="baseline"), NoFailures(window="inject"))
'''

UNPROVEN = '''
from servedrill.checkers.answered import NoFailures
from servedrill.checkers.integrity import OutputBounded
from servedrill.drill.traffic import chat
from servedrill.faults.network import http_status


def test_refuted(drill):
    """No answer is longer than a token."""
    drill.load(chat(rate=30))
    drill.baseline(1.0)
    drill.expect(OutputBounded(window="baseline", classes=["chat"], cap=1))


def test_doubtful(drill):
    """A second is enough for 100,000 requests."""
    drill.load(chat(rate=30))
    drill.baseline(1.0)
    drill.expect(NoFailures(window="baseline", requests_min=100000))


def test_nobody_there(drill):
    """Nobody uses the engine that refuses."""
    drill.load(chat(rate=30), to="engine-1")
    with drill.broken(http_status(drill.stack, "engine-0", status=503)):
        drill.hold(1.0)


def test_impossible(drill):
    """Time goes backwards."""
    drill.load(chat(rate=-1))
'''

SMALL = """
[embedded]
engines = 2
gateways = 1
[embedded.settings.costs]
overhead_s = 0.002
warmup_steps = 1
"""
NOBODY = "http://127.0.0.1:9"
PROXIES = {"http_proxy": NOBODY, "https_proxy": NOBODY, "all_proxy": NOBODY, "no_proxy": ""}


def command(folder: Path, body: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """pytest in ``folder`` with one test file, the drill fixture, a small stack, no other plugin; its environment."""
    (folder / "conftest.py").write_text("from servedrill.fixtures.drill import drill\n")
    (folder / "test_it.py").write_text(body)
    (folder / "small.toml").write_text(SMALL)
    pytest_ = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "servedrill.plugin",
        "-p",
        "no:cacheprovider",
        "--drill-runs",
        "runs",
    ]
    environment = {"PYTHONPATH": str(ROOT), "DRILLED_IN": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return [*pytest_, "--drill-stack", "small.toml", *arguments], {**os.environ, **environment}


@dataclass(frozen=True)
class Ended:
    """A run that is over."""

    folder: Path
    status: int
    text: str

    def json(self, name: str) -> Any:
        return json.loads((self.folder / "runs" / "latest" / name).read_text())


def run(folder: Path, body: str, *arguments: str, **more: str) -> Ended:
    asked, environment = command(folder, body, *arguments)
    done = subprocess.run(
        asked, cwd=folder, env={**environment, **more}, capture_output=True, text=True, timeout=300, check=False
    )
    return Ended(folder, done.returncode, done.stdout)


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A drill that holds, in a house whose way out is a proxy."""
    proxies = PROXIES | {name.upper(): value for name, value in PROXIES.items()}
    body = PROVEN.replace("HELD_S", "0.8")
    return run(tmp_path_factory.mktemp("proven"), body, "--drill-seed", "7", **proxies)


@pytest.fixture(scope="module")
def unproven(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Drills that do not hold, each in its own way; the last one is wrong usage."""
    return run(tmp_path_factory.mktemp("unproven"), UNPROVEN)


def starved(ended: Ended) -> bool:
    """Whether the machine gave its only drill too little time, by the drill's own findings."""
    (verdict,) = ended.json("verdicts.json")
    doubts = {finding["checker"] for finding in verdict["findings"] if finding["answer"] == "inconclusive"}
    return not doubts.isdisjoint({"LoadKeptSchedule", "StackNotStarved"})


def test_a_proven_drill_passes_and_leaves_everything_that_it_takes_to_judge_it_again(
    proven: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seed, the command that runs it again, its verdict; and its history comes to the same verdict later.

    A machine that was too busy to run it leaves a doubt, which is said, and nothing worse.
    """
    answer, status = ("inconclusive", 6) if starved(proven) else ("pass", 0)
    assert proven.status == status, proven.text
    about = proven.json("run.json")
    assert about["seed"] == 7
    assert about["replay"]["mini"].endswith("test_it.py::test_mini --drill-seed 7 --drill-stack small.toml")
    (verdict,) = proven.json("verdicts.json")
    assert (verdict["answer"], verdict["hypothesis"]) == (answer, "A little latency hurts nobody.")
    assert main(["judge", str(proven.folder / "runs" / "latest")]) == status
    assert answer.upper() in capsys.readouterr().out


def test_a_proxy_of_the_environment_is_not_asked_for_what_is_on_this_machine(proven: Ended) -> None:
    """Control calls, toxics, samples: a company's ``HTTP_PROXY`` leads none of them out of the house."""
    told = (proven.folder / "runs" / "latest" / "mini" / "history.jsonl").read_text().splitlines()
    kinds = {json.loads(line)["type"] for line in told}
    assert {"fault_injected", "fault_healed", "sample", "exchange"} <= kinds


def test_a_refuted_claim_fails_and_names_its_evidence(unproven: Ended) -> None:
    """Requests of the history, by their ids."""
    assert "FAIL: OutputBounded: " in unproven.text
    assert "evidence chat-000" in unproven.text
    assert unproven.json("verdicts.json")[0]["answer"] == "fail"


def test_what_cannot_be_judged_is_inconclusive_and_never_passed(unproven: Ended) -> None:
    """Too few requests prove nothing."""
    assert "2 inconclusive" in unproven.text
    assert "passed" not in unproven.text
    assert unproven.json("verdicts.json")[1]["answer"] == "inconclusive"


def test_a_fault_that_touched_nothing_makes_the_verdict_inconclusive(unproven: Ended) -> None:
    """With the counts of the proxy that show it."""
    assert unproven.json("verdicts.json")[2]["answer"] == "inconclusive"
    assert "http_status on engine-0: answers made: 0; connections hit: 0" in unproven.text


def test_an_impossible_rate_is_wrong_usage_and_leaves_nothing_running(unproven: Ended) -> None:
    """The stack that was up for it is gone, and those of the drills before."""
    assert unproven.status == 4, unproven.text
    assert "rate is -1" in unproven.text
    assert not marked(str(unproven.folder))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_leaves_no_process_behind(tmp_path: Path, number: int) -> None:
    """Soon after SIGKILL; Ctrl-C heals in order and writes the verdict besides."""
    asked, environment = command(tmp_path, PROVEN.replace("HELD_S", "60"))
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            asked, cwd=tmp_path, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )
    said = tmp_path / "out"
    wait_for(lambda: "injected latency" in said.read_text(), what="the fault", within_s=60)
    assert len(marked(str(tmp_path))) > 8
    process.send_signal(number)
    try:
        process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
        print(said.read_text())
    wait_for(lambda: not marked(str(tmp_path)), what="all of it to be gone", within_s=30)
    if number == signal.SIGINT:
        (verdict,) = json.loads((tmp_path / "runs/latest/verdicts.json").read_text())
        assert verdict["answer"] == "inconclusive"
        assert process.returncode == 2


def marked(folder: str) -> list[int]:
    """Live processes that were started by a run in ``folder``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if f"DRILLED_IN={folder}".encode() in environment and state not in "ZX":
                found.append(int(entry.name))
    return found
