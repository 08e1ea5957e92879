"""`servedrill ci` from outside: exit status, what it leaves, and what gets another try."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ci_world import DRILLS, Ended
from ci_world import night as outside

from servedrill.leases.stack_lock import held

pytest_plugins = ["pytester"]


def test_a_green_night(tmp_path: Path) -> None:
    """0; each artifact is there, and says so."""
    ended = outside(tmp_path, {})
    assert ended.status == 0, ended.text
    assert ended.result["verdict"] == "green"
    assert "servedrill ci: green" in ended.text
    assert ended.summary.startswith("# ✅ servedrill ci: green\n\n3 drills held.\n")
    assert {one.get("name"): len(one.findall("error")) for one in ended.junit.iter("testcase")} == {
        "test_spike": 0,
        "test_storm": 0,
        "test_swap": 0,
    }
    (run,) = ended.runs()
    outputs = dict(line.split("=", 1) for line in (tmp_path / ".servedrill/ci/outputs.env").read_text().splitlines())
    assert outputs == {
        "DRILLS_VERDICT": "green",
        "DRILLS_RUN": run.name,
        "DRILLS_REPORT": f"{tmp_path}/.servedrill/ci/report.html",
        "DRILLS_BUDGET_LEFT": "",
    }
    assert Path(outputs["DRILLS_REPORT"]).read_text().startswith("<!doctype html>")


def test_a_failure_gets_no_other_try(night: Callable[..., Ended]) -> None:
    """1, at once; what was in doubt beside it does get one, and says so."""
    ended = night({"spike": ["fail", "pass"], "storm": ["inconclusive", "pass"]})
    assert ended.status == 1, ended.text
    assert ended.result["reasons"] == [
        "spike: FAIL: RetriesSpread: Retries are spread. Seen: 2 of 9 answers wrong"
    ]  # fmt: skip
    assert ended.result["tried_twice"] == ["drills/test_all.py::test_storm"]
    first, second = ended.runs()
    assert [len(json.loads((run / "verdicts.json").read_text())) for run in (first, second)] == [3, 1]
    assert json.loads((first / "run.json").read_text())["seed"] == json.loads((second / "run.json").read_text())["seed"]
    assert "storm: tried twice: inconclusive, then passed" in ended.text
    assert "- storm: inconclusive, then **passed**. At first: INCONCLUSIVE: RetriesSpread" in ended.summary
    suite = ended.junit.find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors"), suite.get("tests")) == ("1", "0", "3")


@pytest.mark.parametrize(
    ("plan", "arguments", "status"),
    [
        ({"storm": ["inconclusive", "pass"]}, [], 0),
        ({"storm": ["inconclusive", "inconclusive"]}, [], 6),
        ({"storm": ["inconclusive", "fail"]}, [], 1),
        ({"storm": ["inconclusive", "pass"]}, ["--no-second-try"], 6),
        ({name: ["down", "pass"] for name in DRILLS}, [], 0),
        ({name: ["down"] for name in DRILLS}, [], 4),
    ],
    ids=["doubt goes", "doubt stays", "doubt was a failure", "no second try", "comes up", "stays down"],
)
def test_another_try_for_doubts_and_for_a_stack_out_of_reach(
    night: Callable[..., Ended], plan: dict[str, list[str]], arguments: list[str], status: int
) -> None:
    """What the second try says counts; a session that gave up after the same error twice tries all that was left."""
    ended = night(plan, *arguments)
    assert ended.status == status, ended.text
    assert ("another try" in ended.text) == (not arguments)
    if status == 0:
        assert set(ended.result["tests"].values()) == {"passed"}
        assert len(ended.result["tests"]) == 3


def test_a_second_run_on_the_same_stack_is_refused(pytester: pytest.Pytester, night: Callable[..., Ended]) -> None:
    """In one line, exit code 4, and the artifacts say so."""
    runs = (pytester.path / ".servedrill/runs").resolve()
    with held(f"embedded in {runs}", pytester.path / "locks/servedrill", what="another night"):
        ended = night({})
    assert ended.status == 4
    assert ended.text.count(": another night; expected one run at a time on a stack") == 2
    assert not ended.runs()
    assert "is taken by pid" in ended.result["reasons"][0]
    assert ended.junit.find("testsuite/testcase/error") is not None


def test_two_runs_do_not_write_into_one_folder(pytester: pytest.Pytester, night: Callable[..., Ended]) -> None:
    """On two stacks they may run at once, with --artifacts of their own; what the first has noted down stays."""
    folder = pytester.path / ".servedrill/ci"
    folder.mkdir(parents=True)
    (folder / "record.jsonl").write_text("noted\n")
    with held(str(folder), pytester.path / "locks/servedrill", what="another night"):
        ended = night({})
    assert ended.status == 4
    assert f"folder of artifacts '{folder}': is taken by pid" in ended.text
    assert (folder / "record.jsonl").read_text() == "noted\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--drill-stack", "none.toml"], "none.toml"),
        (["--drill-stak", "x.toml"], "unrecognized arguments: --drill-stak"),
        (["--baseline", "nowhere"], "--baseline nowhere: no run in it; expected last-green"),
        (["-k", "nothing"], "no test was collected"),
    ],
)
def test_wrong_usage_is_4_and_says_why(night: Callable[..., Ended], arguments: list[str], says: str) -> None:
    """Whoever notices it."""
    ended = night({}, *arguments)
    assert ended.status == 4, ended.text
    assert says in ended.text
    assert "Traceback" not in ended.text


def test_all_skipped_is_not_green(pytester: pytest.Pytester, night: Callable[..., Ended]) -> None:
    """Nothing was judged: a runner that lost what the drills need must not stay green."""
    (pytester.path / "drills/conftest.py").write_text(
        "import pytest\n\ndef pytest_collection_modifyitems(items):\n"
        "    for item in items:\n        item.add_marker(pytest.mark.drill_needs('Signallable'))\n"
    )
    ended = night({})
    assert ended.status == 6, ended.text
    assert ended.result["reasons"] == ["every drill was skipped: nothing was judged"]


def test_what_a_job_on_github_gets(tmp_path: Path) -> None:
    """Its summary once, outputs, annotations at the drill; what drills print cannot be a command."""
    page, outputs = tmp_path / "page.md", tmp_path / "outputs"
    ended = outside(
        tmp_path,
        {"spike": ["fail"], "storm": ["inconclusive", "pass"]},
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(page),
        GITHUB_OUTPUT=str(outputs),
        GITHUB_WORKSPACE=str(tmp_path),
    )
    assert page.read_text() == ended.summary
    assert "verdict=red\n" in outputs.read_text()
    assert (
        "\n::error file=drills/test_all.py,line=1,title=spike%3A failed::FAIL: RetriesSpread: Retries are spread. "
        "Seen: 2 of 9 answers wrong\n"
    ) in ended.text
    assert "::notice file=drills/test_all.py,line=4,title=storm%3A tried twice::inconclusive at first" in ended.text
    begun = ended.text.index("::stop-commands::")
    token = ended.text[begun:].split("::")[2].split("\n")[0]
    assert ended.text.index("test session starts") > begun
    assert ended.text.count(f"\n::{token}::\n") == 1
