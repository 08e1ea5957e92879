"""The plugin over drills on a stack of paper, whose verdicts are what their names say: outcomes, names, seeds,
leavings.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.worlds import named
from tests.worlds.paper import run_drills

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]

DRILLS = """
def test_holds(drill):
    '''It holds,
    whatever comes.

    Not part of the hypothesis.
    '''

def test_fails(drill):
    '''It fails.'''

def test_doubtful(drill):
    '''Who knows.'''
"""

MORE = """
import pytest

@pytest.mark.parametrize("case", [1, 2, 3], ids=["a", "b c", "1-2.5"])
def test_holds_each(drill, case):
    pass

def test_raises(drill):
    assert 1 == 2, "bad sums"

def test_walks_out(drill):
    pytest.skip("not today")

@pytest.mark.drill_needs("Signallable")
def test_needs(drill):
    raise AssertionError("it cannot have been tried")
"""
PLUGIN = ("-p", "servedrill.plugin", "-p", "no:cacheprovider", "--drill-runs", "runs")
ALONE = {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return run_drills(pytester, *arguments, plugins=[named])


@dataclass
class Whole:
    """A run of every sort of drill: what it printed, what it left, how it ended."""

    folder: Path
    status: int
    lines: list[str]

    def json(self, name: str) -> Any:
        return json.loads((self.folder / "runs" / "latest" / name).read_text())

    def history(self, drill: str) -> list[dict[str, Any]]:
        text = (self.folder / "runs" / "latest" / drill / "history.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]


def run_whole(folder: Path, *arguments: str) -> Whole:
    plugins = [*PLUGIN, "-p", "tests.worlds.paper", "-p", "tests.worlds.named"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *arguments], cwd=folder, env={**os.environ, **ALONE},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return Whole(folder, done.returncode, done.stdout.splitlines())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """One such run, for everything that is asked of it."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "test_it.py").write_text(DRILLS + MORE)
    return run_whole(folder, "--junitxml=report.xml", "-rA", "--drill-control")


def test_three_answers_are_three_outcomes(whole: Whole) -> None:
    """A failure decides the exit code; each drill has its own word, in the summary line and in the files."""
    assert whole.status == 1
    assert re.search(r"=+ 2 failed, 4 passed, 2 skipped, 1 inconclusive in ", whole.lines[-1])
    answers = {verdict["drill"]: verdict["answer"] for verdict in whole.json("verdicts.json")}
    assert (answers["holds"], answers["fails"], answers["doubtful"]) == ("pass", "fail", "inconclusive")
    report = (whole.folder / "report.xml").read_text()
    assert 'failures="2" skipped="3"' in report
    assert "INCONCLUSIVE: Name: It is in the name. Seen: doubtful" in report
    assert "FAIL: Name: It is in the name. Seen: fails" in whole.lines


def test_what_a_drill_says_of_itself(whole: Whole) -> None:
    """Its hypothesis is the first paragraph of its docstring, or its name."""
    hypotheses = {verdict["drill"]: verdict["hypothesis"] for verdict in whole.json("verdicts.json")}
    assert (hypotheses["holds"], hypotheses["holds_each[b c]"]) == ("It holds, whatever comes.", "holds_each[b c]")
    assert {name for name in hypotheses if name.startswith("holds_each")} == {
        f"holds_each[{case}]" for case in ("a", "b c", "1-2.5")
    }


def test_a_run_leaves_what_happened(whole: Whole) -> None:
    """What was asked for, on which machine; histories and a ledger without an open lease; nothing outside of its
    folder.
    """
    about, folder = whole.json("run.json"), whole.folder / "runs" / "latest"
    assert about["options"] == {
        "seed": about["seed"],
        "stack_file": None,
        "slo_file": None,
        "arrivals": None,
        "control": True,
        "defects": [],
        "runs": "runs",
        "pyargs": False,
        "quarantine": None,
    }
    assert {"servedrill", "python", "pytest"} <= set(about["versions"])
    assert [event["type"] for event in whole.history("holds")][::100] == ["drill_started"]
    assert whole.history("holds")[-1]["type"] == "drill_ended"
    assert (folder / "leases.jsonl").read_text() == ""
    assert (folder / "watchdog.log").read_text() == ""
    assert {path.name for path in whole.folder.iterdir()} - {"__pycache__"} == {
        "report.xml",
        "runs",
        "test_it.py",
    }


def test_a_drill_that_raises_fails_as_any_test(whole: Whole) -> None:
    """With its traceback; its history says that it was interrupted, and by what."""
    assert any("assert 1 == 2" in line for line in whole.lines)
    assert whole.history("raises")[-1]["interrupted"].startswith("AssertionError: bad sums")


def test_a_drill_that_walks_out_is_skipped_and_not_green(whole: Whole) -> None:
    """A skip of its own is a skip; the history that it left is judged, and doubtful."""
    assert any(re.match(r"SKIPPED \[1\] test_it.py:\d+: not today", line) for line in whole.lines)
    assert {verdict["drill"]: verdict["answer"] for verdict in whole.json("verdicts.json")}[
        "walks_out"
    ] == "inconclusive"


def test_a_capability_that_the_stack_lacks_skips_its_drill(whole: Whole) -> None:
    """With the reason, and without a verdict."""
    assert any(
        line.startswith("SKIPPED") and line.endswith("stack 'embedded' is not Signallable") for line in whole.lines
    )
    assert "needs" not in {verdict["drill"] for verdict in whole.json("verdicts.json")}


def test_a_seed_is_told_and_replays(whole: Whole) -> None:
    """Without one a new one is drawn; with it every drill has the seed that it had."""
    (seed,) = re.findall(r"seed (\d+); run again with: pytest --drill-seed \d+ --drill-control", "\n".join(whole.lines))
    about = whole.json("run.json")
    assert about["seed"] == int(seed)
    assert about["replay"]["holds"] == f"pytest test_it.py::test_holds --drill-seed {seed} --drill-control"
    seeds = {verdict["drill"]: verdict["seed"] for verdict in whole.json("verdicts.json")}
    assert len(set(seeds.values())) == len(seeds)
    again = run_whole(whole.folder, "-k", "holds", "--drill-seed", seed, "--drill-runs", "again")
    assert again.status == 0
    verdicts = json.loads((whole.folder / "again" / "latest" / "verdicts.json").read_text())
    assert len(verdicts) == 4
    assert all(seeds[verdict["drill"]] == verdict["seed"] for verdict in verdicts)
    shutil.rmtree(whole.folder / "again")


def test_doubt_is_an_exit_code_of_its_own(pytester: pytest.Pytester) -> None:
    """6 where nothing failed, however many held; never called passed where none did."""
    pytester.makepyfile(test_it=DRILLS)
    both = run(pytester, "-k", "not fails", "-v")
    assert both.ret == 6
    both.stdout.fnmatch_lines(
        ["PASSED *", "INCONCLUSIVE (INCONCLUSIVE: Name: *", "*1 passed, 1 deselected, 1 inconclusive in *"]
    )
    alone = run(pytester, "-k", "doubtful")
    assert alone.ret == 6
    assert "passed" not in alone.stdout.str()
    alone.stdout.fnmatch_lines(
        ["doubtful  INCONCLUSIVE  seed *", "*seen doubtful", "*evidence chat-1", "*1 inconclusive in *"]
    )


def test_a_drill_with_a_slash_in_its_name_has_a_folder(pytester: pytest.Pytester) -> None:
    """Parametrized by a route or a URL, for instance."""
    pytester.makepyfile(
        test_it="import pytest\n\n@pytest.mark.parametrize('route', ['a/b'])\ndef test_holds(drill, route):\n    pass\n"
    )
    run(pytester).assert_outcomes(passed=1)


def test_two_drills_of_one_name_do_not_meet(pytester: pytest.Pytester) -> None:
    """In two files, as two teams may call theirs the same."""
    pytester.mkpydir("one")
    pytester.mkpydir("two")
    for folder in ("one", "two"):
        (pytester.path / folder / "test_it.py").write_text(DRILLS)
    result = run(pytester, "-k", "holds")
    result.assert_outcomes(passed=2)
    assert len(json.loads((pytester.path / "runs" / "latest" / "verdicts.json").read_text())) == 2


# ---- wrong usage


def test_a_drill_that_asks_for_the_impossible_is_told_in_one_line(pytester: pytest.Pytester) -> None:
    """Exit code 4 and no traceback."""
    pytester.makepyfile(
        test_it="def test_holds(drill):\n    with drill.window('a'), drill.window('a'):\n        pass\n"
    )
    result = run(pytester)
    assert result.ret == 4
    assert sum(line.startswith("ERROR: ") for line in result.outlines) == 1
    result.stdout.fnmatch_lines(["ERROR: holds: window 'a' twice in one drill; expected a name of its own*"])
    assert "Traceback" not in result.stdout.str()
    assert 'File "' not in result.stdout.str()


def test_a_stack_that_does_not_come_up_is_told_in_one_line(pytester: pytest.Pytester) -> None:
    """With the hint where to look; when a second drill comes to the same end, the others are not tried."""
    names = ("torn", "torn_too", "torn_as_well")
    pytester.makepyfile(test_it="".join(f"def test_{name}(drill):\n    pass\n\n" for name in names))
    result = run(pytester)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["ERROR: paper: the paper is torn; hint: see the bin"])
    result.assert_outcomes(errors=2)


def test_what_one_drill_lacks_does_not_cost_the_others(pytester: pytest.Pytester) -> None:
    """They run and are judged; the exit code still says that something was used wrongly."""
    pytester.makepyfile(test_it="def test_torn(drill):\n    pass\n\n" + DRILLS)
    result = run(pytester, "-k", "torn or holds")
    assert result.ret == 4
    result.assert_outcomes(errors=1, passed=1)


def test_a_machine_that_starts_no_process_is_told_in_one_line(pytester: pytest.Pytester) -> None:
    """The machine's own reason, and exit code 4: nothing was drilled, and the stack has no part in it."""
    pytester.makepyfile(test_it="def test_crowded(drill):\n    pass\n")
    result = run(pytester)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["ERROR: this machine: stack 'embedded' could not be started: Resource temp*"])


@pytest.mark.parametrize(
    "error", ["OSError(28, 'No space left on device')", "httpx.ReadTimeout('the supervisor')", "ConnectionResetError()"]
)
def test_what_the_machine_refuses_in_a_drill_is_a_doubt(pytester: pytest.Pytester, error: str) -> None:
    """A control call that nobody answered, a disk that is full: nothing that the stack is to blame for."""
    pytester.makepyfile(test_it=f"import httpx\n\ndef test_holds(drill):\n    raise {error}\n")
    assert run(pytester).ret == 6


@pytest.mark.parametrize("where", ["    raise NotInTime(what='a worker to be ready', waited_s=15)\n", ""])
def test_what_the_tool_itself_could_not_do_is_a_doubt(pytester: pytest.Pytester, where: str) -> None:
    """Exit code 1 means the stack. A drill that could not be carried out is inconclusive, in its body or before it."""
    fixture = "@pytest.fixture\ndef late(drill):\n    raise NotInTime(what='a worker to be ready', waited_s=15)\n\n"
    body = f"def test_holds(drill):\n{where}" if where else f"{fixture}def test_holds(late):\n    pass\n"
    pytester.makepyfile(test_it=f"import pytest\nfrom servedrill.errors import NotInTime\n\n{body}")
    result = run(pytester, "-v")
    assert result.ret == 6
    result.stdout.fnmatch_lines(["INCONCLUSIVE (INCONCLUSIVE: a worker to be re*"])
    result.assert_outcomes(passed=0, failed=0, errors=0)


def test_a_capability_that_does_not_exist_is_told_in_one_line(pytester: pytest.Pytester) -> None:
    """A typing mistake must not look like a broken stack."""
    pytester.makepyfile(
        test_it="import pytest\n\n@pytest.mark.drill_needs('Signalable')\ndef test_holds(drill):\n    pass\n"
    )
    result = run(pytester)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["ERROR: *Signalable*"])


@pytest.mark.parametrize(
    "arguments", [("--drill-seed", "soon"), ("--drill-stack",), ("--no-such-option",)], ids=" ".join
)
def test_options_that_cannot_be_understood_are_pytests_own_errors(
    pytester: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    """Exit code 4, before anything is collected."""
    pytester.makepyfile(test_it=DRILLS)
    result = run(pytester, *arguments)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: *"])
    assert not (pytester.path / "runs").exists()


def test_a_stack_file_that_cannot_be_used_is_told_before_anything_starts(pytester: pytest.Pytester) -> None:
    """Exit code 4 and one line with the place in the file and what was meant."""
    pytester.makepyfile(test_it=DRILLS)
    pytester.makefile(".toml", stack="[embedded]\nengins = 1\n")
    result = run(pytester, "--drill-stack", "stack.toml")
    assert result.ret == 4
    lines = [line for line in result.errlines if line]
    assert len(lines) == 1
    assert lines[0].startswith("ERROR: stack.toml:2:1: ")
    assert lines[0].endswith("did you mean 'engines'?")
    assert not (pytester.path / "runs").exists()


def test_a_place_for_runs_that_is_none_is_told_in_one_line(pytester: pytest.Pytester) -> None:
    """Exit code 4: it is what was given that is wrong."""
    pytester.makepyfile(test_it=DRILLS)
    (pytester.path / "runs").write_text("a file")
    result = run(pytester, "-k", "holds")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["ERROR: *runs*"])


# ---- without drills

PLAIN = """
import sys

import pytest
from servedrill.errors import UsageError

def test_passes():
    pass

def test_fails():
    assert 0

def test_raises_what_the_package_raises():
    raise UsageError("not a drill's")

@pytest.mark.skip(reason="no")
def test_skipped():
    pass

@pytest.mark.xfail
def test_expected():
    assert 0

def test_nothing_heavy_was_imported():
    assert not {"aiohttp", "uvloop", "httpx", "rich", "hypothesis.stateful"} & set(sys.modules)
    ours = {name for name in sys.modules if name.startswith("servedrill.")}
    rooms = {name.removeprefix("servedrill.") for name in ours}
    errors = {"errors", "secrecy", "secrecy.forms", "secrecy.known"}
    assert rooms <= {"_version", *errors, "plugin", "runs", "runs.layout"}
"""


def without_chance(lines: list[str]) -> list[str]:
    """The lines of a run, but for the plugins' names, versions and times."""
    return [
        re.sub(r"\d+\.\d+s|0x[0-9a-f]+", "", line) for line in lines if not line.startswith(("plugins: ", "rootdir: "))
    ]


def test_a_run_without_drills_is_as_if_the_plugin_were_not_there(pytester: pytest.Pytester) -> None:
    """The same output line by line, the same exit code, no folder, nothing heavy imported."""
    pytester.makepyfile(test_plain=PLAIN)
    arguments = ["-p", "no:cacheprovider", "-ra", "-p", "no:hypothesispytest", "-p", "no:anyio"]
    runs = [pytester.runpytest_subprocess(*arguments, *more) for more in ((), ("-p", "no:servedrill"))]
    assert runs[0].ret == runs[1].ret == 1
    assert without_chance(runs[0].outlines) == without_chance(runs[1].outlines)
    runs[0].assert_outcomes(passed=2, failed=2, skipped=1, xfailed=1)
    assert not list(pytester.path.glob(".servedrill*"))


def test_the_plugin_has_no_fixture_and_no_exit_code_of_its_own(pytester: pytest.Pytester) -> None:
    """Nothing of it shows where there are no drills: neither among the fixtures nor when nothing ran."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        arguments = ("-p", "servedrill.plugin", "-p", "no:cacheprovider")
        fixtures = pytester.runpytest_inprocess(*arguments, "--fixtures").stdout.str()
        assert "servedrill" not in fixtures.split("collected")[-1].replace("plugins: ", "")
        assert "capsys" in fixtures
        pytester.makepyfile(test_plain="def test_passes():\n    pass\n")
        assert pytester.runpytest_inprocess(*arguments).ret == 0
        assert pytester.runpytest_inprocess(*arguments, "-k", "no_such").ret == 5
    assert not list(pytester.path.glob(".servedrill*"))
