"""Other plugins beside ours: workers of pytest-xdist, ``-x``, ``--lf``, reruns, repeats. A verdict stays a verdict."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("-p", "servedrill.plugin", "-p", "tests.worlds.paper", "--drill-runs", "runs")
ALONE = {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
GREEN = "def test_holds(drill): pass\ndef test_holds_too(drill): pass\ndef test_plain(): pass\n"
DOUBT = GREEN + "def test_doubtful(drill): pass\n"
RED = DOUBT + "def test_fails(drill): pass\n"
TORN = GREEN + "def test_torn(drill): pass\n"
XDIST = ("-p", "xdist.plugin", "-p", "xdist.looponfail")
SIDES: dict[str, tuple[str, ...]] = {
    "alone": (),
    "two": (*XDIST, "-n2"),
    "by file": (*XDIST, "-n2", "--dist=loadfile"),
    "stealing": (*XDIST, "-n2", "--dist=worksteal"),
}
AGAIN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    "As plugins do that run a failed test again: only the last time counts."
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for last in (False, True):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        again = not last and any(report.failed for report in reports)
        for report in reports:
            if again and report.failed:
                report.outcome = "rerun"
            if LOGS or not again:
                item.ihook.pytest_runtest_logreport(report=report)
        if not again:
            break
        item._initrequest()
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""


@dataclass
class Ended:
    status: int
    text: str
    folder: Path

    @property
    def runs(self) -> list[Path]:
        return sorted(path for path in (self.folder / "runs").glob("2*") if path.is_dir())

    def json(self, name: str) -> Any:
        return json.loads((self.folder / "runs" / "latest" / name).read_text())


def drills(folder: Path, text: str, *arguments: str, judge: str = "named") -> Ended:
    (folder / "test_it.py").write_text(text)
    plugins = [*OURS, "-p", f"tests.worlds.{judge}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *arguments], cwd=folder, env={**os.environ, **ALONE},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout + done.stderr, folder)


@pytest.mark.parametrize(
    ("side", "text", "status"),
    [
        ("alone", RED, 1),
        ("two", GREEN, 0),
        ("two", DOUBT, 6),
        ("two", RED, 1),
        ("two", TORN, 4),
        ("by file", DOUBT, 6),
        ("stealing", DOUBT, 6),
    ],
)
def test_workers_come_to_what_one_process_comes_to(tmp_path: Path, side: str, text: str, status: int) -> None:
    """One exit status, one run, one table, one report, whoever ran the drills."""
    ended = drills(tmp_path, text, *SIDES[side], "--drill-no-report" if side == "stealing" else "-rA")
    assert ended.status == status, ended.text
    (folder,) = ended.runs
    names = set(re.findall(r"def test_(\w+)\(drill\)", text)) - {"torn"}
    assert {verdict["drill"] for verdict in ended.json("verdicts.json")} == names
    assert set(ended.json("run.json")["replay"]) >= names
    assert ended.json("run.json")["ended"]
    assert ended.text.count("run again with: pytest --drill-seed") == 1
    seed = re.findall(r"seed (\d+); run again", ended.text)[0]
    assert {ended.json("run.json")["seed"]} == {int(seed)}
    assert (folder / "report.html").is_file() == (side != "stealing")
    assert ended.text.count(f"{folder.name}/report.html") == (side != "stealing")
    if status == 4:
        assert ended.text.count("ERROR: paper: the paper is torn") == 1


def test_a_seed_that_is_given_is_every_workers(tmp_path: Path) -> None:
    """Each drill has the seed that it has alone."""
    seeds = []
    for side in ("alone", "two"):
        ended = drills(tmp_path, GREEN, *SIDES[side], "--drill-seed", "7")
        assert "seed 7; run again" in ended.text
        seeds.append({verdict["drill"]: verdict["seed"] for verdict in ended.json("verdicts.json")})
    assert seeds[0] == seeds[1]


def test_drills_of_several_workers_run_one_at_a_time(tmp_path: Path) -> None:
    """The stack of one is gone before that of the next is started."""
    slow = "import time\n" + "".join(f"def test_holds_{n}(drill): time.sleep(0.3)\n" for n in range(4))
    ended = drills(tmp_path, slow, *SIDES["two"])
    assert ended.status == 0, ended.text
    spans = []
    for path in (tmp_path / "runs" / "latest").glob("*/history.jsonl"):
        times = [json.loads(line)["t_ns"] for line in path.read_text().splitlines() if '"t_ns"' in line]
        spans.append((min(times), max(times)))
    spans.sort()
    assert len(spans) == 4
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_wrong_options_are_told_before_a_worker_starts(tmp_path: Path) -> None:
    """One line and 4."""
    ended = drills(tmp_path, GREEN, *SIDES["two"], "--drill-stack", "none.toml")
    assert ended.status == 4
    assert "none.toml" in ended.text and not ended.runs


@pytest.mark.parametrize("side", ["two"])
def test_stopping_at_the_first_failure_is_still_a_failure(tmp_path: Path, side: str) -> None:
    """pytest-xdist stops by an interrupt, which a user of CI takes for something else."""
    assert drills(tmp_path, RED, *SIDES[side], "-x").status == 1


@pytest.mark.parametrize("side", ["alone", "two"])
def test_what_was_in_doubt_is_run_again_by_lf(tmp_path: Path, side: str) -> None:
    """``--lf`` runs what failed last: a doubt is not done with."""
    drills(tmp_path, RED, *SIDES[side])
    drills(tmp_path, RED, *SIDES[side], "--lf")
    assert {verdict["drill"] for verdict in Ended(0, "", tmp_path).json("verdicts.json")} == {"doubtful", "fails"}


@pytest.mark.parametrize(("side", "logs"), [("alone", True), ("alone", False), ("two", True)])
def test_a_rerun_takes_no_verdict_back(tmp_path: Path, side: str, logs: bool) -> None:
    """A drill that failed and then held has failed once: 1, and both verdicts are in the table."""
    (tmp_path / "conftest.py").write_text(f"LOGS = {logs}\n" + AGAIN)
    ended = drills(tmp_path, "def test_fails(drill): pass\n", *SIDES[side], judge="second_thoughts")
    assert ended.status == 1, ended.text
    assert [verdict["answer"] for verdict in ended.json("verdicts.json")] == ["fail", "pass"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("def test_holds(drill): os.kill(os.getpid(), 9)\n", 6),
        ("def test_killed(drill): pass\n", 6),
        (GREEN + "def test_killed(drill): pass\n", 6),
        ("def test_killed(drill): pass\ndef test_fails(drill): pass\n", 1),
        ("def test_killed(drill): pass\ndef test_plain(): assert 0\n", 1),
        ("def test_plain(): os.kill(os.getpid(), 9)\n", 1),
    ],
    ids=["in a drill", "as its stack starts", "beside others", "beside a FAIL", "beside a test", "in a test"],
)
def test_a_worker_that_is_killed_is_no_word_about_the_stack(tmp_path: Path, text: str, status: int) -> None:
    """Exit status 6, and a line that says so; 1 where something else did fail, and where there is no drill."""
    ended = drills(tmp_path, "import os\n" + text, *XDIST, "-n1")
    assert ended.status == status, ended.text
    told = re.findall(
        r"^INCONCLUSIVE: test_it.py::\w+: worker 'gw\d' crashed .*: not the stack's doing$", ended.text, re.M
    )
    assert len(told) == ("drill" in text), ended.text


def test_reports_of_tests_that_are_no_drills_are_left_alone(tmp_path: Path) -> None:
    """No run, no table, pytest's own status."""
    ended = drills(tmp_path, "def test_plain(): pass\n", *SIDES["two"])
    assert ended.status == 0
    assert not ended.runs and "run again" not in ended.text


@pytest.mark.parametrize("option", ["--drill-stack", "--drill-slo", "--drill-arrivals", "--drill-baseline"])
def test_an_option_that_is_empty_is_no_option_left_out(tmp_path: Path, option: str) -> None:
    """``--drill-stack "$STACK"`` with a variable that is not set would drill the embedded stack, and be green."""
    ended = drills(tmp_path, GREEN, option, "")
    assert ended.status == 4
    assert f"argument {option}: is empty" in ended.text
    assert not ended.runs
