"""pytest and the reports: one is there after every session that had a drill, however it ended."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
CONFTEST = '''
import contextlib
import servedrill.stacks.lifecycle as lifecycle
from fixtures.drill import drill
from servedrill.history.promises import Promises
from servedrill.stacks.protocols import Entry, Replica


class PaperStack:
    """Nobody is there."""

    name, environment, shared, promises = "paper", "local", True, Promises(model="m")

    def replicas(self):
        return [Replica(name="engine-0", role="engine", url="http://127.0.0.1:9")]

    def entry(self):
        return Entry(base_url="http://127.0.0.1:9")


@contextlib.contextmanager
def paper_up(file, folder, **_):
    yield PaperStack()


lifecycle.stack_up = paper_up
'''
DRILLS = """
def test_quiet(drill):
    '''Nothing happens.'''
    drill.observe("silence", 1.0)
"""


@pytest.fixture
def drills(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    pytester.makeconftest(CONFTEST)
    return pytester


def run(pytester: pytest.Pytester, *more: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "servedrill.plugin", "-p", "no:cacheprovider", "--runs", "runs", *more)


def test_a_session_leaves_a_report_and_says_where(drills: pytest.Pytester) -> None:
    """With the drill's figures as properties of its test case for whoever reads JUnit's XML."""
    drills.makepyfile(test_paper=DRILLS)
    result = run(drills, "--junitxml", "junit.xml")
    assert result.ret == 6
    (report,) = drills.path.glob("runs/2*/report.html")
    result.stdout.fnmatch_lines([f"report: {report}"])
    assert "Nothing happens." in report.read_text()
    case = next(ET.parse(drills.path / "junit.xml").iter("testcase"))
    properties = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert properties["verdict"] == "inconclusive"
    assert int(properties["claims_inconclusive"] or 0) > 0


def test_no_report_on_request(drills: pytest.Pytester) -> None:
    """The rest of the folder is as ever."""
    drills.makepyfile(test_paper=DRILLS)
    assert run(drills, "--no-report").ret == 6
    assert not list(drills.path.glob("runs/2*/report.html"))
    assert list(drills.path.glob("runs/2*/verdicts.json"))


@pytest.mark.parametrize("end", ["raise KeyboardInterrupt", "raise RuntimeError('bad luck')", "pytest.exit('enough')"])
def test_a_session_that_is_cut_short_leaves_one_too(drills: pytest.Pytester, end: str) -> None:
    """It names what cut it short."""
    drills.makepyfile(test_paper=f"import pytest\n{DRILLS}    {end}\n")
    assert run(drills).ret in (1, 2)
    (report,) = drills.path.glob("runs/2*/report.html")
    assert "interrupted: " in report.read_text()


def test_a_baseline_is_held_against_the_run(drills: pytest.Pytester) -> None:
    """After the table; a baseline that is none is wrong usage before anything runs."""
    drills.makepyfile(test_paper=DRILLS)
    run(drills)
    result = run(drills, "--baseline", "runs/latest")
    assert result.ret == 6
    result.stdout.fnmatch_lines(["*Nothing is shown to have got worse.*"])
    wrong = run(drills, "--baseline", "nowhere")
    assert wrong.ret == 4
    wrong.stderr.fnmatch_lines(["*nowhere/run.json: no run in it*"])
