"""Bad input of every sort, made from the parsers and the types: one clear line, exit code 4, and nothing left.

A part of it here, all with SERVEDRILL_ATTACKS=all (`nox -s attacks`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from servedrill.host.processes import children
from tests.reporting.report_world import run_folder
from tests.worlds.asked import refused, within
from tests.worlds.bad_inputs import FILE, Bad, bad_inputs
from tests.worlds.paper import run_drills

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
EVERY = 1 if os.environ.get("SERVEDRILL_ATTACKS") == "all" else 9
GOOD = {
    "RUNS": "runs", "RUN": "runs/20260102T030405-7", "A": "runs/20260102T030405-7",
    "B": "runs/20260102T030405-7", "FILE": str(ROOT / "fixtures/data/slos/chat.yaml"), "DIR": "new",
    "SLO-FILE": str(ROOT / "fixtures/data/slos/chat.yaml"), "TEXT": "t", "NAME": "me", "YYYY-MM-DD": "2099-01-01",
    "PLAYBOOK": str(ROOT / "playbooks/first_game_day.yaml"),
}  # fmt: skip
ALL = list(bad_inputs(GOOD))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where it is given; nothing new is there afterwards, and nothing runs."""

    def never(*_: object, **__: object) -> None:
        pytest.fail("a stack was made")

    monkeypatch.setattr("servedrill.session.stack.guarded_stack", never)
    monkeypatch.chdir(tmp_path)
    (tmp_path / FILE).write_text("")
    run_folder(tmp_path / GOOD["RUN"])
    running = children(os.getpid())
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} <= {FILE, "runs", "s.toml", "s.yaml"}
    assert children(os.getpid()) == running


@pytest.mark.parametrize("bad", [one for one in ALL if one.line][::EVERY], ids=lambda bad: bad.name)
def test_bad_input_is_one_line(bad: Bad, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a command line, in a stack file, in an SLO file."""
    for name, text in bad.files.items():
        (folder / name).write_text(text)
    said = refused(list(bad.line), lambda: capsys.readouterr().err, mistakes_of=next(iter(bad.files), ""))
    assert len(said) < 4000, said


@pytest.mark.parametrize("bad", [one for one in ALL if one.env][::EVERY], ids=lambda bad: bad.name)
def test_bad_input_of_the_environment_is_one_line(
    bad: Bad, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a drill is begun."""
    pytester.makepyfile(test_it="def test_holds(drill):\n    pass\n")
    (pytester.path / FILE).write_text("")
    for name, value in bad.env.items():
        monkeypatch.setenv(name, value)
    with within(60):
        result = run_drills(pytester, runs=None)
    lines = [line for line in (*result.outlines, *result.errlines) if line.startswith("ERROR: ")]
    assert (result.ret, len(lines)) == (4, 1), result.outlines
    assert not list(pytester.path.glob("**/history.jsonl"))


def test_there_are_enough_of_them() -> None:
    """Of each sort, and each once."""
    assert len({bad.name for bad in ALL}) == len(ALL) >= 600, len(ALL)
    for sort in ("stack file, ", "SLO file, ", "SERVEDRILL_"):
        assert sum(bad.name.startswith(sort) for bad in ALL) >= 30, sort
