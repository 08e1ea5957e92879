"""Experiments of Chaos Toolkit run here, with the outcomes that they should have had; playbooks written as ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from servedrill.errors import FileError
from servedrill.gameday.activity import configuration, main, substituted, tolerated
from servedrill.gameday.chaostoolkit import written
from servedrill.gameday.reading import read_playbook

SERVEDRILL = [sys.executable, "-m", "servedrill.commands.main"]


def process(*arguments: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "it",
        "provider": {"type": "process", "path": sys.executable, "arguments": ["-c", *arguments]},
        **more,
    }


def experiment(folder: Path, **more: Any) -> Path:
    """One whose hypothesis is that a file is there, and whose method does nothing."""
    there = process(f"import os, sys; sys.exit(not os.path.exists({str(folder / 'up')!r}))", type="probe", tolerance=0)
    path = folder / "experiment.json"
    whole = {
        "title": "A file is there",
        "description": "Whatever happens.",
        "steady-state-hypothesis": {"title": "It is there.", "probes": [there]},
        "method": [process("", type="action")],
        "rollbacks": [],
        **{name.replace("_", "-"): one for name, one in more.items()},
    }
    path.write_text(json.dumps(whole))
    return path


def carried_out(path: Path) -> tuple[int, str]:
    """As a game day, on an embedded stack that nobody looks at."""
    stack = path.parent / "stack.toml"
    stack.write_text("[embedded]\nengines = 1\ngateways = 1\n")
    command = [
        *SERVEDRILL,
        "gameday",
        "run",
        str(path),
        "--yes",
        "--stack",
        str(stack),
        "--runs",
        str(path.parent / "runs"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("method", "up", "status", "said"),
    [
        ("", True, 0, "PASS"),
        ("", False, 6, "not tested"),
        ("raise SystemExit(1)", True, 1, "ended with 1"),
        ("import os; os.remove(UP)", True, 1, "did not come back"),
    ],
    ids=["it holds", "not met before: no pass, as there", "an action that fails: no success, as there", "it breaks"],
)
def test_experiments_run_here(tmp_path: Path, method: str, up: bool, status: int, said: str) -> None:
    """And their two traps are none."""
    if up:
        (tmp_path / "up").touch()
    code = method.replace("UP", repr(str(tmp_path / "up")))
    got, out = carried_out(experiment(tmp_path, method=[process(code, type="action")]))
    assert got == status and said in out, out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"method": [{"ref": "other", "provider": {}}]}, r"method\[0\].ref: a reference"),
        ({"method": [{"type": "action", "name": "x", "provider": {"type": "carrier pigeon"}}]}, "'carrier pigeon'"),
        ({"method": [{**process(""), "background": True}]}, "in the background"),
        ({"controls": [{"name": "x"}]}, "controls: cannot be run here"),
        ({"steady_state_hypothesis": {"title": "x", "probes": [process("")]}}, "a probe without a tolerance"),
    ],
)
def test_what_cannot_be_run_here_is_refused_by_name(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    """With line and column, before anything is done."""
    with pytest.raises(FileError, match=said):
        read_playbook(experiment(tmp_path, **more))


def test_pauses_are_steps(tmp_path: Path) -> None:
    """Before and after."""
    playbook = read_playbook(experiment(tmp_path, method=[{**process(""), "pauses": {"before": 1, "after": 2}}]))
    assert [(step.act, step.pause) for step in playbook.method] == [("pause", 1), ("hook", None), ("pause", 2)]


@pytest.mark.parametrize(
    ("tolerance", "came", "ok"),
    [
        (200, {"status": 200, "body": ""}, True),
        (200, {"status": 503, "body": ""}, False),
        ([200, 204], {"status": 204}, True),
        (True, True, True),
        (True, 1, True),
        ("up", "up", True),
        ({"type": "regex", "pattern": "^o", "target": "stdout"}, {"stdout": "ok"}, True),
        ({"type": "range", "range": [1, 3], "target": "body"}, {"body": "2.5"}, True),
        ({"type": "range", "range": [1, 3]}, 4, False),
    ],
)
def test_tolerances(tolerance: Any, came: Any, ok: bool) -> None:
    """Those that the documentation of Chaos Toolkit has examples of."""
    assert tolerated(tolerance, came) is ok


def test_configuration_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the experiment and from the environment; what is nothing but a name keeps its type."""
    monkeypatch.setenv("PORT", "81")
    names = configuration(
        {"a": 3, "b": {"type": "env", "key": "PORT"}, "c": {"type": "env", "key": "NO", "default": 7}}
    )
    assert substituted({"x": "${a}", "y": "at ${b}/${c}", "z": "${d}"}, names) == {"x": 3, "y": "at 81/7", "z": "${d}"}


def test_an_activity_says_what_it_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A Python function, and one that raises."""
    good = {
        "name": "sep",
        "provider": {"type": "python", "module": "posixpath", "func": "basename", "arguments": {"p": "/a/b"}},
    }
    bad = {**good, "provider": {**good["provider"], "func": "nothing"}}  # type: ignore[dict-item]
    path = experiment(tmp_path, method=[{**good, "tolerance": "b"}, bad])
    assert (main(path, "method/0"), main(path, "method/1")) == (0, 1)
    assert "AttributeError" in capsys.readouterr().out


def test_a_playbook_as_an_experiment(tmp_path: Path) -> None:
    """The day is its hypothesis, held to its exit status after the method."""
    path = Path(__file__).parents[2] / "playbooks/first_game_day.yaml"
    found = written(read_playbook(path), path)
    assert found["runtime"]["hypothesis"]["strategy"] == "after-method-only"
    (day,) = found["steady-state-hypothesis"]["probes"]
    assert day["tolerance"] == 0 and day["provider"]["arguments"][:2] == ["gameday", "run"]
    assert found["extensions"][0]["name"] == "servedrill"
