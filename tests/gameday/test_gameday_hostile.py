"""Playbooks and notes of people who mean no good: refused, or inert in every place where they are shown."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from servedrill.errors import FileError
from servedrill.gameday.reading import read_playbook
from servedrill.gameday.record import RECORD, Action, Begun, Ended, Noted, Record, StepBegun, read_record
from servedrill.gameday.retro import MARKDOWN, PAGE, write_retro
from servedrill.gameday.view import View
from servedrill.secrecy.known import KNOWN

EVIL = "\x1b[2J\x1b]0;owned\x07<script>alert(1)</script>{{ 7 * 7 }}\u202e[x](javascript:alert(1))"
SECRET = "sk-test-of-a-key-that-nobody-may-see"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A day whose every text is hostile, and whose notes repeat a key."""
    KNOWN.learn(SECRET)
    record = Record(tmp_path)
    record.add(Begun(title=EVIL, plan="x", stack=EVIL, by=EVIL, people={EVIL: EVIL}))
    record.add(StepBegun(step="1", title=EVIL, act="ask", expected=EVIL))
    record.add(Noted(text=f"the key is {SECRET}", by=EVIL))
    record.add(Action(text=EVIL, owner=EVIL, due="2027-01-01"))
    record.add(Ended())
    record.close()
    return tmp_path


def test_nothing_of_it_is_live_on_the_page_or_in_the_retro(folder: Path) -> None:
    """No element, no link, no template, no escape."""
    write_retro(folder)
    page, retro = (folder / PAGE).read_text(), (folder / MARKDOWN).read_text()
    assert "<script" not in page and "script-src" not in page and "\x1b" not in page and "\u202e" not in page
    assert "{{ 7 * 7 }}" in page, "as text, and not as 49"
    assert "<script" not in retro and not re.search(r"(?<!\\)\]\(", retro)
    assert "\x1b" not in retro and "\u202e" not in retro


def test_the_terminal_gets_no_escape(folder: Path) -> None:
    """Shown as what it is."""
    console = Console(width=200, record=True, file=io.StringIO())
    view = View(console)
    for entry in read_record(folder):
        view.entry(entry)
    told = console.export_text()
    assert "\x1b" not in told and "\x07" not in told and r"\x1b[2J" in told


def test_a_key_in_a_note_is_not_written_down(folder: Path) -> None:
    """Neither in the record nor in what is made of it."""
    write_retro(folder)
    for name in (RECORD, PAGE, MARKDOWN):
        assert SECRET not in (folder / name).read_text()


@pytest.mark.parametrize("name", ["{{ 7 * 7 }}", "../../etc", "a b", "$(reboot)", "x" * 61])
def test_names_of_steps_are_names(written: Callable[..., Path], name: str) -> None:
    """They stand in paths, in references, in words."""
    with pytest.raises(FileError, match="is no name"):
        read_playbook(written(method=[{"name": name, "ask": "x"}]))


def test_a_reference_is_text_and_no_command(written: Callable[..., Path]) -> None:
    """What a step came to is one argument of a hook, whatever stands in it."""
    from servedrill.gameday.director import _filled

    outputs = {"a": {"output": "; reboot $(reboot) ${a.output}"}}
    assert _filled(["echo", "${a.output}"], outputs) == ["echo", "; reboot $(reboot) ${a.output}"]
