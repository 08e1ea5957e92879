"""What is asked for without being typed: the command line, then the environment, then the ini file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from servedrill.errors import UsageError
from servedrill.plugin import ELSEWHERE
from servedrill.plugin.asked import asked, seed_asked
from tests.worlds.paper import run_drills

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
PLUGIN = ("-p", "servedrill.plugin")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plugin but ours, whatever is installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def config_of(pytester: pytest.Pytester, *typed: str, ini: str = "") -> pytest.Config:
    """A session that is not started, in a folder with that ini file."""
    if ini:
        pytester.makeini(f"[pytest]\n{ini}")
    return pytester.parseconfig(*PLUGIN, *typed)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_typed_comes_before_the_environment_and_that_before_the_file(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The same for everything that can be said in three places."""
    assert asked(config_of(pytester), name) is None
    ini = f"drill_{name} = 1"
    assert asked(config_of(pytester, ini=ini), name) == "1"
    monkeypatch.setenv(f"SERVEDRILL_{name.upper()}", "2")
    assert asked(config_of(pytester, ini=ini), name) == "2"
    assert asked(config_of(pytester, f"--drill-{name}=3", ini=ini), name) == "3"


def test_a_path_of_the_ini_file_is_meant_from_where_that_is(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``pytest ../drills`` in a folder below drills the same stack; an absolute path stays as it is."""
    below = pytester.mkdir("below")
    assert asked(config_of(pytester, ini="drill_stack = my/stack.toml"), "stack") == "my/stack.toml"
    monkeypatch.chdir(below)
    config = pytester.parseconfig(*PLUGIN, f"--rootdir={pytester.path}", "-c", str(pytester.path / "tox.ini"))
    assert asked(config, "stack") == str(pytester.path / "my/stack.toml")
    assert asked(config_of(pytester, ini="drill_stack = /etc/stack.toml"), "stack") == "/etc/stack.toml"


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_empty_is_nothing_left_out(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A variable of CI that is not set is an empty one: it must not drill something else."""
    with pytest.raises(UsageError, match=rf"drill_{name} of tox\.ini: is empty; expected a value"):
        asked(config_of(pytester, ini=f"drill_{name} ="), name)
    monkeypatch.setenv(f"SERVEDRILL_{name.upper()}", " ")
    with pytest.raises(UsageError, match=f"SERVEDRILL_{name.upper()}: is empty"):
        asked(config_of(pytester), name)


def test_a_seed_is_a_number_wherever_it_stands(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the place is named where it is none."""
    assert seed_asked(config_of(pytester, ini="drill_seed = 7")) == 7
    assert seed_asked(config_of(pytester, "--drill-seed=8", ini="drill_seed = 7")) == 8
    monkeypatch.setenv("SERVEDRILL_SEED", "soon")
    with pytest.raises(UsageError, match=r"SERVEDRILL_SEED: 'soon'; expected a whole number"):
        seed_asked(config_of(pytester))


def test_with_an_ini_file_pytest_drills_is_all_one_types(pytester: pytest.Pytester) -> None:
    """The run goes where the file says, with its seed, on its stack, and the command to run it again is whole."""
    pytester.makepyfile(test_it="def test_it(drill):\n    pass\n")
    pytester.makeini("[pytest]\ndrill_stack = stack.toml\ndrill_seed = 7\ndrill_runs = elsewhere\n")
    (pytester.path / "stack.toml").write_text('name = "mine"\n')
    done = run_drills(pytester, runs=None)
    assert "seed 7; run again with: pytest --drill-seed 7 --drill-stack stack.toml" in done.stdout.str()
    assert (pytester.path / "elsewhere" / "latest" / "it" / "history.jsonl").exists()


@pytest.mark.parametrize(
    ("ini", "variables", "said"),
    [
        ("drill_stack = none.toml", {}, r"none\.toml:1:1: .*; asked for by drill_stack of tox\.ini"),
        ("", {"SERVEDRILL_STACK": "none.toml"}, r"none\.toml:1:1: .*; asked for by SERVEDRILL_STACK"),
        ("", {"SERVEDRILL_SEED": "soon"}, "SERVEDRILL_SEED: 'soon'; expected a whole number"),
        ("drill_slo =", {}, r"drill_slo of tox\.ini: is empty"),
    ],
)
@pytest.mark.parametrize("processes", [(), ("-p", "xdist", "-n2")], ids=["alone", "two"])
def test_what_cannot_be_used_is_told_with_its_place(
    pytester: pytest.Pytester, ini: str, variables: dict[str, str], said: str, processes: tuple[str, ...]
) -> None:
    """One line and 4, by the drill that needs it; nothing is written."""
    pytester.makepyfile(
        test_it="def test_it(drill):\n    pass\n", conftest="from servedrill.fixtures.drill import drill\n"
    )
    pytester.makeini(f"[pytest]\n{ini}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, *processes],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stdout + done.stderr
    assert len(re.findall(f"^ERROR: {said}", done.stdout, re.MULTILINE)) == 1, done.stdout
    assert not (pytester.path / ".servedrill").exists()


def test_what_was_asked_for_is_asked_for_again(pytester: pytest.Pytester) -> None:
    """The same files and words, from the same folder, wherever pytest counts its node ids from."""
    pytester.makeini("[pytest]\n")
    below = pytester.mkdir("below")
    (below / "test_it.py").write_text("def test_it(drill):\n    pass\n\ndef test_other(drill):\n    pass\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(below)
        done = run_drills(pytester, "test_it.py", "-k", "it and not other", "--drill-seed=7")
    assert "run again with: pytest test_it.py -k 'it and not other' --drill-seed 7" in done.stdout.str()
    about = json.loads((below / "runs" / "latest" / "run.json").read_text())
    assert about["replay"] == {"it": "pytest test_it.py::test_it --drill-seed 7"}
