"""pytest and the reports: one is there after every session that had a drill, however it ended."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.worlds.paper import run_drills

pytest_plugins = ["pytester"]
DRILLS = """
def test_quiet(drill):
    '''Nothing happens.'''
    drill.observe("silence", 1.0)
"""


def test_a_session_leaves_a_report_and_says_where(pytester: pytest.Pytester) -> None:
    """With the drill's figures as properties of its test case for whoever reads JUnit's XML."""
    pytester.makepyfile(test_paper=DRILLS)
    result = run_drills(pytester, "--junitxml", "junit.xml")
    assert result.ret == 6
    (report,) = pytester.path.glob("runs/2*/report.html")
    result.stdout.fnmatch_lines([f"report: {report}"])
    assert "Nothing happens." in report.read_text()
    case = next(ET.parse(pytester.path / "junit.xml").iter("testcase"))
    properties = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert properties["verdict"] == "inconclusive"
    assert int(properties["claims_inconclusive"] or 0) > 0


def test_no_report_on_request(pytester: pytest.Pytester) -> None:
    """The rest of the folder is as ever."""
    pytester.makepyfile(test_paper=DRILLS)
    assert run_drills(pytester, "--drill-no-report").ret == 6
    assert not list(pytester.path.glob("runs/2*/report.html"))
    assert list(pytester.path.glob("runs/2*/verdicts.json"))


@pytest.mark.parametrize(
    ("end", "status"),
    [("raise KeyboardInterrupt", 2), ("raise RuntimeError('bad luck')", 6), ("pytest.exit('enough')", 2)],
)
def test_a_session_that_is_cut_short_leaves_one_too(pytester: pytest.Pytester, end: str, status: int) -> None:
    """It names what cut it short."""
    pytester.makepyfile(test_paper=f"import pytest\n{DRILLS}    {end}\n")
    assert run_drills(pytester).ret == status
    (report,) = pytester.path.glob("runs/2*/report.html")
    assert "interrupted: " in report.read_text()


def test_a_baseline_is_held_against_the_run(pytester: pytest.Pytester) -> None:
    """After the table; a baseline that is none is wrong usage before anything runs."""
    pytester.makepyfile(test_paper=DRILLS)
    run_drills(pytester)
    result = run_drills(pytester, "--drill-baseline", "runs/latest")
    assert result.ret == 6
    result.stdout.fnmatch_lines(["*Nothing is shown to have got worse.*"])
    wrong = run_drills(pytester, "--drill-baseline", "nowhere")
    assert wrong.ret == 4
    wrong.stderr.fnmatch_lines(["*nowhere/run.json: no run in it*"])
