"""What a session is asked for: each thing that cannot be used is told in one line, before anything is written or
started.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from servedrill.errors import UsageError
from servedrill.runs.about import Options
from servedrill.session.options import check_options

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no stack file": ({"stack_file": "nowhere.toml"}, "nowhere.toml:1:1: cannot be read: No such file"),
    "no trace": ({"arrivals": "nowhere.csv"}, "nowhere.csv: "),
    "no SLO file": ({"slo_file": "nowhere.yaml"}, "nowhere.yaml:1:1: cannot be read"),
    "no baseline": ({}, "nowhere/run.json: no run in it"),
    "no defect": ({"defects": ["nonsense"]}, "expected package.module:Class or path/file.py:Class"),
    "no such class": ({"defects": ["servedrill.refstack.defects.gateway:Nope"]}, "no class Nope"),
}
STACKS = {
    "too many": ("[embedded]\nengines = 99\n", "expected"),
    "unknown key": ("[embedded]\nengins = 1\n", "did you mean 'engines'"),
    "unknown kind": ("kind = 'cloud'\n", "expected"),
    "unknown claim": ('[[weaknesses]]\nchecks = ["Fly"]\nbecause = "x"\n', "weaknesses"),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_wrong_usage(name: str, here: Path) -> None:
    """Named, with what was expected, and no trace of a run."""
    asked, said = WRONG[name]
    baseline = {"baseline": "nowhere"} if name == "no baseline" else {}
    with pytest.raises(UsageError) as error:
        check_options(Options(**asked), **baseline)
    assert said in str(error.value)
    assert not list(here.iterdir())


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_file_that_cannot_be_used_is_wrong_usage(name: str, here: Path) -> None:
    """The line begins with the file's name."""
    text, said = STACKS[name]
    (here / "stack.toml").write_text(text)
    with pytest.raises(UsageError) as error:
        check_options(Options(stack_file="stack.toml"))
    assert str(error.value).startswith("stack.toml:")
    assert said in str(error.value).lower()


def test_production_takes_whoever_may_break_it(here: Path) -> None:
    """And says what is at stake."""
    (here / "stack.toml").write_text(
        'environment = "production"\nname = "prod"\nblast_radius = "one engine of three"\n'
    )
    options = Options(stack_file="stack.toml")
    with pytest.raises(
        UsageError, match="'prod' is a production stack; a drill's blast radius there: one engine of three"
    ):
        check_options(options)
    assert check_options(options, production=True).name == "prod"


def test_without_options_it_is_the_embedded_stack() -> None:
    """There is nothing to be wrong."""
    assert check_options(Options()).kind == "embedded"
