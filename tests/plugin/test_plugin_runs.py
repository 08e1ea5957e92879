"""The plugin, in pytest runs of its own: outcomes, exit codes, what is written, what wrong usage says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MINI = '''
from servedrill.checkers.answered import NoFailures
from servedrill.drill.traffic import chat
from servedrill.faults.network import latency


def test_mini(drill):
    """A little latency hurts nobody."""
    drill.load(chat(rate=30))
    drill.baseline(1.0)
    with drill.broken(latency(drill.stack, "engine-0", ms=30)):
        drill.hold(0.8)
    drill.recover(0.5)
    drill.expect(NoFailures(window="baseline"), {expected})
'''


SMALL = """
[embedded]
engines = 2
gateways = 1
[embedded.settings.costs]
overhead_s = 0.002
warmup_steps = 1
"""


def run(
    folder: Path, body: str, *arguments: str, others: bool = False, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """pytest in ``folder``, with one test file, the drill fixture and a small stack; without ``others`` no other plugin is loaded."""
    prepare(folder, body)
    (folder / "small.toml").write_text(SMALL)
    alone = [] if others else ["-p", "servedrill.plugin"]
    command = [sys.executable, "-m", "pytest", *alone, "-p", "no:cacheprovider", "--runs", str(folder / "runs")]
    return subprocess.run(
        [*command, "--stack", "small.toml", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DRILLED_IN": str(folder),
            **({} if others else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def prepare(folder: Path, body: str) -> None:
    (folder / "conftest.py").write_text("from fixtures.drill import drill\n")
    (folder / "test_it.py").write_text(body)


def test_a_run_without_drills_is_left_alone(tmp_path: Path) -> None:
    result = run(tmp_path, "def test_nothing():\n    pass\n", others=True)
    assert result.returncode == 0
    assert "servedrill" not in result.stdout.split("plugins:")[1].split("\n", 1)[1]
    assert not (tmp_path / "runs").exists()


def test_a_proven_drill_passes_and_leaves_everything_that_it_takes_to_judge_it_again(tmp_path: Path) -> None:
    result = run(tmp_path, MINI.replace("{expected}", 'NoFailures(window="inject")'), "--seed", "7")
    assert result.returncode == 0, result.stdout
    about = json.loads((tmp_path / "runs/latest/run.json").read_text())
    assert about["seed"] == 7
    assert about["replay"]["mini"].endswith("test_it.py::test_mini --seed 7 --stack small.toml")
    (verdict,) = json.loads((tmp_path / "runs/latest/verdicts.json").read_text())
    assert (verdict["answer"], verdict["hypothesis"]) == ("pass", "A little latency hurts nobody.")
    judged = subprocess.run(
        [sys.executable, "-m", "servedrill.commands.main", "judge", str(tmp_path / "runs/latest")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stderr
    assert "PASS" in judged.stdout


def test_a_proxy_of_the_environment_is_not_asked_for_what_is_on_this_machine(tmp_path: Path) -> None:
    """Control calls, toxics, samples: a company's ``HTTP_PROXY`` leads none of them out of the house."""
    nobody = "http://127.0.0.1:9"
    asked = {"http_proxy": nobody, "https_proxy": nobody, "all_proxy": nobody, "no_proxy": ""}
    environment = asked | {name.upper(): value for name, value in asked.items()}
    result = run(tmp_path, MINI.replace("{expected}", 'NoFailures(window="inject")'), environment=environment)
    assert result.returncode == 0, result.stdout


def test_a_refuted_claim_fails_with_exit_code_1_and_names_its_evidence(tmp_path: Path) -> None:
    body = MINI.replace("{expected}", 'OutputBounded(window="baseline", classes=["chat"], cap=1)')
    result = run(tmp_path, "from servedrill.checkers.integrity import OutputBounded\n" + body)
    assert result.returncode == 1, result.stdout
    assert "1 failed" in result.stdout
    assert "evidence chat-000" in result.stdout


def test_what_cannot_be_judged_is_inconclusive_with_exit_code_6_and_never_passed(tmp_path: Path) -> None:
    body = MINI.replace("{expected}", 'NoFailures(window="baseline", requests_min=100000)')
    result = run(tmp_path, body)
    assert result.returncode == 6, result.stdout
    assert "1 inconclusive" in result.stdout
    assert "passed" not in result.stdout


def test_a_fault_that_touched_nothing_makes_the_verdict_inconclusive(tmp_path: Path) -> None:
    body = '''
from servedrill.drill.traffic import chat
from servedrill.faults.network import http_status


def test_nobody_there(drill):
    """Nobody uses the engine that refuses."""
    drill.load(chat(rate=30), to="engine-1")
    with drill.broken(http_status(drill.stack, "engine-0", status=503)):
        drill.hold(1.0)
'''
    result = run(tmp_path, body)
    assert result.returncode == 6, result.stdout
    assert "http_status on engine-0: answers made: 0; connections hit: 0" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stack", "nowhere.toml"], "no stack file"),
        (["--defect", "nonsense"], "expected package.module:Class or path/file.py:Class"),
        (["--defect", "servedrill.refstack.defects.gateway:Nope"], "no class Nope"),
        (["--no-such-option"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exit_code_4(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = run(tmp_path, MINI, *arguments)
    assert result.returncode == 4
    assert said in result.stdout + result.stderr
    assert not (tmp_path / "runs").exists()


def test_an_impossible_rate_is_wrong_usage_too_and_leaves_nothing_running(tmp_path: Path) -> None:
    result = run(tmp_path, MINI.replace("rate=30", "rate=-1").replace("{expected}", 'NoFailures(window="inject")'))
    assert result.returncode == 4, result.stdout
    assert "rate is -1" in result.stdout
    assert not marked(str(tmp_path))


def test_a_drill_is_skipped_with_the_reason_where_the_stack_lacks_what_it_needs(tmp_path: Path) -> None:
    body = '''
import pytest
from typing import Protocol, runtime_checkable

from servedrill.stacks import protocols


@runtime_checkable
class Levitating(Protocol):
    def levitate(self) -> None: ...


protocols.Levitating = Levitating


@pytest.mark.needs("Levitating")
def test_wishful(drill):
    """It flies."""
'''
    result = run(tmp_path, body, "-rs")
    assert "1 skipped" in result.stdout
    assert "stack 'embedded' is not Levitating" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_leaves_no_process_behind(tmp_path: Path, number: int) -> None:
    """Within 5 s after SIGKILL; Ctrl-C heals in order and writes the verdict besides."""
    prepare(
        tmp_path, MINI.replace("drill.hold(0.8)", "drill.hold(60)").replace("{expected}", 'NoFailures(window="inject")')
    )
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--runs", str(tmp_path / "runs")],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "DRILLED_IN": str(tmp_path)},
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )
    wait(lambda: "injected latency" in (tmp_path / "out").read_text(), within_s=60)
    assert len(marked(str(tmp_path))) > 10
    process.send_signal(number)
    process.wait(timeout=30)
    wait(lambda: not marked(str(tmp_path)), within_s=5)
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


def wait(condition: object, *, within_s: float) -> None:
    until = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, f"not within {within_s} s"
        time.sleep(0.02)
