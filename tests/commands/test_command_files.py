"""What is no file in the place of a file: every argument of every command and option, found in the parsers.

One line and exit code 4; a pipe that nobody writes to, a device without an end are neither waited for nor replaced.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.reporting.report_world import run_folder
from tests.worlds.asked import Argument, arguments, pytest_options, refused, within
from tests.worlds.paper import run_drills

pytest_plugins = ["pytester"]
SLO = Path(__file__).parents[2] / "fixtures/data/slos/chat.yaml"
PLAYBOOK = Path(__file__).parents[2] / "playbooks/first_game_day.yaml"
SORTS = ("pipe", "device", "socket")
NOT_OPENED = {"gameday export --stack"}
"""Passed on to whoever runs what is written."""
FILES = {one.name: one for one in arguments() if one.is_file and one.name not in NOT_OPENED}
IN_A_RUN = ("run.json", "paper/history.jsonl", "paper/verdict.json", "paper/stack.json", "report.html", "paper/logs")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str, Path], Path]]:
    """What is no file, of a sort, at a path."""
    sockets = []

    def made(sort: str, path: Path) -> Path:
        if sort == "pipe":
            os.mkfifo(path)
        elif sort == "device":
            path.symlink_to("/dev/zero")
        else:
            sockets.append(socket.socket(socket.AF_UNIX))
            folder = os.open(path.parent, os.O_RDONLY)
            sockets[-1].bind(f"/proc/self/fd/{folder}/{path.name}")  # the whole path may be too long for one
            os.close(folder)
        return path

    yield made
    for one in sockets:
        one.close()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().err


@pytest.fixture
def good(tmp_path: Path) -> dict[str, str]:
    """For what else a command needs."""
    run = str(run_folder(tmp_path / "runs" / "20260102T030405-7"))
    slo = str(SLO)
    more = {"TEXT": "t", "NAME": "me", "YYYY-MM-DD": "2099-01-01"}
    more |= {"RUNS": str(tmp_path / "runs"), "PLAYBOOK": str(PLAYBOOK)}
    return more | {"RUN": run, "A": run, "B": run, "FILE": slo, "SLO-FILE": slo, "DIR": str(tmp_path / "new")}


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_is_refused_by_every_command(
    name: str, sort: str, tmp_path: Path, make: Callable[[str, Path], Path], good: dict[str, str],
    said: Callable[[], str],
) -> None:  # fmt: skip
    """To be read or to be written."""
    path = make(sort, tmp_path / f"given{_suffix(FILES[name])}")
    before = sorted(tmp_path.iterdir())
    told = refused(FILES[name].line(str(path), good), said)
    assert path.name in told or str(path.resolve()) in told
    assert sorted(tmp_path.iterdir()) == before
    assert not stat.S_ISREG(path.lstat().st_mode)


def _suffix(argument: Argument) -> str:
    """By which a file of its kind is known."""
    return {"SLO-FILE": ".yaml", "MODULE:CLASS": ".py"}.get(str(argument.action.metavar), ".toml")


def test_every_command_is_looked_at() -> None:
    """And every sort of place."""
    assert {one.words[0] for one in FILES.values()} >= {
        "stack", "judge", "report", "runs", "compare", "table", "slo", "budget", "alerts", "schema", "toxiproxy",
    }  # fmt: skip
    assert len(FILES) >= 24
    assert not [one.name for one in arguments() if one.action.type is Path], "servedrill.files.arguments.some_path"


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("option", sorted({*pytest_options()} - {"--drill-seed"}))
def test_what_is_no_file_is_refused_by_every_option(
    option: str, sort: str, pytester: pytest.Pytester, make: Callable[[str, Path], Path]
) -> None:
    """Of pytest, before a drill is begun."""
    pytester.makepyfile(test_it="def test_holds(drill):\n    pass\n")
    path = make(sort, pytester.path / ("given.py" if option == "--drill-defect" else "given.toml"))
    value = f"{path.name}:It" if option == "--drill-defect" else path.name
    with within(60):
        result = run_drills(pytester, option, value, runs=None if option == "--drill-runs" else "runs")
    lines = [line for line in (*result.outlines, *result.errlines) if line.startswith("ERROR: ")]
    assert (result.ret, len(lines)) == (4, 1), lines
    assert path.name in lines[0]
    assert not (pytester.path / "runs").exists()


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("file", IN_A_RUN)
@pytest.mark.parametrize("command", ["report", "judge", "compare", "table", "runs", "budget"])
def test_what_is_no_file_in_a_run_is_not_waited_for(
    command: str, file: str, sort: str, tmp_path: Path, make: Callable[[str, Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """By no command that reads runs: it is told in one line with the place, or does not matter."""
    from servedrill.commands.main import main

    run, other = (run_folder(tmp_path / "runs" / name) for name in ("20260102T030405-7", "20260102T040405-8"))
    path = run / file
    if path.is_dir():
        (path / "engine-0.log").unlink()
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    make(sort, path)
    runs = ["--runs", str(tmp_path / "runs")]
    line = {"compare": [run, other], "table": [other, run], "runs": runs, "budget": runs}.get(command, [run])
    with within(60):
        status = main([command, *map(str, line)])
    told = capsys.readouterr().err
    assert "Traceback" not in told, told
    assert told.count("\n") <= 1, told
    assert (status in (4, 6)) <= (str(path) in told or status == 6), (status, told)
    assert not told or str(path) in told, told


def test_the_index_of_runs_is_no_file(tmp_path: Path, make: Callable[[str, Path], Path]) -> None:
    """They are listed all the same."""
    from servedrill.commands.main import main

    run_folder(tmp_path / "20260102T030405-7")
    make("pipe", tmp_path / "index.sqlite")
    with within(60):
        assert main(["runs", "--runs", str(tmp_path)]) == 0
