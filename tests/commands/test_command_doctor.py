"""``servedrill doctor``: one screen, JSON, and exit statuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from servedrill.commands.collected import collected
from servedrill.commands.main import main
from servedrill.errors import UsageError
from tests.worlds.speakers import Speaks, speaking

DRILL = """
import pytest
from servedrill import NoFailures, StallBounded, chat

def test_a_plain_one(drill):
    '''It answers.'''
    drill.load(chat(rate=5))
    drill.baseline(3)
    drill.expect(NoFailures(window="baseline"))

@pytest.mark.parametrize("share", [0.5])
def test_a_strict_one(drill, share):
    drill.expect(StallBounded(window="baseline", stall_s_max=share * drill.promises.idle_timeout_s))

@pytest.mark.drill_needs("Signallable")
def test_one_that_kills(drill):
    raise AssertionError

def test_of_something_else():
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new user's, with drills of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("SERVEDRILL_STACK", raising=False)
    for module in ("test_own", "conftest"):
        monkeypatch.delitem(sys.modules, module, raising=False)  # of the test before, from another folder
    drills = tmp_path / "drills"
    drills.mkdir()
    (drills / "test_own.py").write_text(DRILL)
    (drills / "conftest.py").write_text("from servedrill.fixtures.drill import drill\n")
    return tmp_path


def test_drills_are_those_that_pytest_collects(folder: Path) -> None:
    """With their markers, parameters and hypotheses, and without tests that are none."""
    drills, stack, _ = collected([])
    assert [(one.name, one.hypothesis) for one in drills] == [
        ("a_plain_one", "It answers."),
        ("a_strict_one[0.5]", "test_a_strict_one[0.5]"),
        ("one_that_kills", "test_one_that_kills"),
    ]
    assert list(drills[2].needs) == ["Signallable"] and stack is None
    (folder / "drills/pytest.ini").write_text("[pytest]\ndrill_stack = ../stack.toml\n")
    assert Path(str(collected([]).stack)).resolve() == folder / "stack.toml"
    for wrong in (["nowhere"], ["drills/conftest.py"]):
        with pytest.raises(UsageError):
            collected(wrong)


def test_what_is_lacking_is_said_on_one_screen(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And is exit status 6."""
    with speaking(Speaks(done=False)) as url:
        assert main(["doctor", "--url", url]) == 6
        said = capsys.readouterr().out
        assert max(map(len, said.splitlines())) <= 80
        assert "\x1b" not in said
        for text in (url, "[DONE]: missing", "a_plain_one", "one_that_kills  skipped", "doctor --measure --url"):
            assert text in said, text
        assert main(["doctor", "--url", url, "drills/test_own.py::test_a_plain_one"]) == 0
        capsys.readouterr()
        assert main(["doctor", "--url", url, "--json"]) == 6
    told = json.loads(capsys.readouterr().out)
    assert told["complete"] is False and told["model"] == "m"
    plain, strict, kills = told["drills"]
    assert not [one for one in plain["claims"] if one["why_not"]]
    assert [one["checker"] for one in strict["claims"] if one["why_not"]] == ["Unpromised"]
    assert "hooks" in kills["skipped"] and "replica.hooks" in kills["do"]


def test_what_cannot_be_looked_at_is_wrong_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, with the next step."""
    (folder / "down.toml").write_text(
        'kind = "external"\n[external]\nurl = "http://127.0.0.1:9"\n[promises]\nmodel = "m"\n'
    )
    for words, text in (
        (["--url", "http://127.0.0.1:9"], "is it up"),
        (["--url", "here"], "expected http://host:port"),
        (["--stack", "none.toml"], "none.toml"),
        (["--stack", "down.toml", "--url", "http://127.0.0.1:9"], "two stacks"),
        (["--model", "m"], "--url"),
        (["--url", "http://127.0.0.1:9", "--measure", "--json"], "is it up"),
    ):
        assert main(["doctor", *words]) == 4
        said = capsys.readouterr().err
        assert text in said and said.count("\n") == 1, said


@pytest.mark.parametrize("seconds", ["5", "soon", "nan", "9999999"])
def test_a_time_that_makes_no_sense_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--measure", "--within", seconds])
    assert ended.value.code == 4 and "30 to 1800 seconds" in capsys.readouterr().err
