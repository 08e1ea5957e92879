"""Quarantine in pytest itself: it runs, is shown with its terms, and does not gate; what is out of date is exit 4."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.worlds import named
from tests.worlds.paper import run_drills

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
ALONE = {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
DRILLS = """
def test_holds(drill): pass

def test_fails(drill): pass

def test_doubtful(drill): pass
"""


def quarantine(pytester: pytest.Pytester, *drills: str, days: int = 20) -> None:
    """A file that has these in quarantine, until in so many days."""
    today = datetime.now(UTC).date()
    made, expires = today - timedelta(days=30), today + timedelta(days=days)
    terms = f'owner = "team-x"\nlink = "https://t.example/1"\nmade = {made}\nexpires = {expires}\n'
    (pytester.path / "q.toml").write_text("".join(f'[[quarantine]]\ndrill = "{one}"\n{terms}' for one in drills))


def run(pytester: pytest.Pytester, *arguments: str, text: str = DRILLS) -> pytest.RunResult:
    pytester.makepyfile(test_it=text)
    return run_drills(pytester, *arguments, "--drill-quarantine", "q.toml", plugins=[named])


def test_what_is_in_quarantine_runs_is_shown_and_does_not_gate(pytester: pytest.Pytester) -> None:
    """A word of its own, the terms beside the table, exit code 0; the verdict stays what it is."""
    quarantine(pytester, "fails", "doubtful")
    result = run(pytester, "-rA", "--junitxml=junit.xml")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["quarantined: fails, until *, team-x, https://t.example/1"])
    result.stdout.fnmatch_lines(["*1 passed, 2 quarantined in *"])
    result.stdout.fnmatch_lines(["fails  FAIL  seed *"])
    latest = pytester.path / "runs/latest"
    answers = {one["drill"]: one["answer"] for one in json.loads((latest / "verdicts.json").read_text())}
    assert answers == {"holds": "pass", "fails": "fail", "doubtful": "inconclusive"}
    about = json.loads((latest / "run.json").read_text())
    assert [one["drill"] for one in about["quarantine"]] == ["fails", "doubtful"]
    assert "QUARANTINED until" in (pytester.path / "junit.xml").read_text()
    page = (latest / "report.html").read_text()
    assert page.count('<span class="tag">quarantined</span>') == 2


def test_all_else_gates_as_ever(pytester: pytest.Pytester) -> None:
    """A doubt is 6, a failure 1."""
    quarantine(pytester, "fails")
    assert run(pytester).ret == 6
    quarantine(pytester, "doubtful")
    assert run(pytester).ret == 1


def test_a_drill_that_raises_is_covered_as_a_whole(pytester: pytest.Pytester) -> None:
    """Whatever it comes to; wrong usage is nobody's to cover."""
    quarantine(pytester, "raises", "torn")
    raises = "def test_holds(drill): pass\ndef test_raises(drill): assert 1 == 2\n"
    result = run(pytester, text=raises + "def test_torn(drill): pass\n")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["ERROR: paper: the paper is torn*", "*1 passed, 1 error, 1 quarantined in *"])


def test_what_has_expired_is_wrong_usage_before_anything_runs(pytester: pytest.Pytester) -> None:
    """One line with place and owner; nothing was drilled."""
    quarantine(pytester, "fails", days=-1)
    result = run(pytester)
    assert result.ret == 4
    said = result.stderr.str() + result.stdout.str()
    assert "q.toml:6:11: quarantine[0].expires: fails has expired on " in said
    assert "take the entry out, or ask team-x (https://t.example/1)" in said
    assert not (pytester.path / "runs").exists()


def test_what_fits_nothing_is_wrong_usage_in_a_whole_session(pytester: pytest.Pytester) -> None:
    """Whoever asks for a part is not asked about the rest."""
    quarantine(pytester, "fials", "doubtful")
    whole = run(pytester)
    assert whole.ret == 4
    whole.stdout.fnmatch_lines(
        ["ERROR: q.toml:2:1: quarantine: no drill 'fials' was collected; *did you mean 'fails'*"]
    )
    assert run(pytester, "-k", "holds").ret == 0
    assert run(pytester, "test_it.py", "-k", "doubtful").ret == 0
    assert run(pytester, "test_it.py::test_holds").ret == 0


def test_workers_of_xdist_come_to_the_same(pytester: pytest.Pytester) -> None:
    """One exit status, one table; what fits nothing is told by the one that has the session."""
    for names, status in ((("fails", "doubtful"), 0), (("fials", "fails", "doubtful"), 4)):
        quarantine(pytester, *names)
        xdist = ("-p", "xdist.plugin", "-p", "xdist.looponfail", "-n2")
        plugins = ("-p", "servedrill.plugin", "-p", "tests.worlds.paper", "-p", "tests.worlds.named", *xdist)
        pytester.makepyfile(test_it=DRILLS)
        options = ("--drill-quarantine=q.toml", "--drill-runs=runs", "--drill-no-report")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, *options], cwd=pytester.path, env={**os.environ, **ALONE},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout
        assert "1 passed, 2 quarantined in " in done.stdout
        assert done.stdout.count("quarantined: fails, until ") == 1
        assert done.stdout.count("no drill 'fials' was collected") == (status == 4)


def test_a_suite_without_drills_is_not_asked(pytester: pytest.Pytester) -> None:
    """Its ini file may name a quarantine for the drills of another folder."""
    quarantine(pytester, "fails")
    assert run(pytester, text="def test_plain(): pass\n").ret == 0
