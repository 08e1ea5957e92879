"""Promises that were measured, written into a stack file beside what people wrote there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from servedrill.errors import UsageError
from servedrill.stacks.promising import line_of, with_promises, write_promises

FILE = """# mine
kind = "external"
[external]
url = "http://a:1"   # the door

[promises]
model = "m"          # ours
slots = 7

[[weaknesses]]
checks = ["Settled"]
because = "It is old."
"""
FOUND = [
    line_of("slots", 48, "48 at once"),
    line_of("idle_timeout_s", 1.5, "the longest silence"),
    line_of("refuses", ["prompt", "output"], "what was refused"),
]


def test_what_was_found_is_added_and_what_was_stated_stays() -> None:
    """With every comment; each line says what it comes from."""
    written = with_promises(FILE, FOUND, where="x")
    told = tomllib.loads(written)
    assert told["promises"] == {"model": "m", "slots": 7, "idle_timeout_s": 1.5, "refuses": ["prompt", "output"]}
    assert told["weaknesses"][0]["because"] == "It is old."
    for line in FILE.splitlines():
        assert line in written.splitlines()
    assert "idle_timeout_s = 1.5  # measured: the longest silence" in written


def test_a_second_measurement_takes_the_place_of_the_first() -> None:
    once = with_promises(FILE, FOUND, where="x")
    assert with_promises(once, FOUND, where="x") == once
    again = with_promises(once, [line_of("idle_timeout_s", 9.0, "slower")], where="x")
    assert tomllib.loads(again)["promises"] == {"model": "m", "slots": 7, "idle_timeout_s": 9.0}


def test_a_file_without_promises_gets_a_table() -> None:
    written = with_promises('kind = "external"\n', FOUND, where="x")
    assert tomllib.loads(written)["promises"]["slots"] == 48


def test_where_there_is_no_place_nothing_is_written(tmp_path: Path) -> None:
    """The file is as it was."""
    for name, text in (("a.toml", 'promises.model = "m"\n'), ("b.yaml", "promises: {}\n"), ("c.toml", "x = [\n")):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(UsageError) as caught:
            write_promises(path, FOUND)
        assert str(path) in str(caught.value) and path.read_text() == text


def test_what_is_kept_is_said(tmp_path: Path) -> None:
    path = tmp_path / "stack.toml"
    path.write_text(FILE)
    assert write_promises(path, FOUND) == ["slots"]
    assert tomllib.loads(path.read_text())["promises"]["idle_timeout_s"] == 1.5
    assert list(tmp_path.iterdir()) == [path]
