"""Every name that servedrill brings into a pytest run says whose it is, and is nobody else's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from known_plugins import KNOWN

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
TOLD = ("*.md", "docs/**/*.md", "*.py", "servedrill/**/*.py", "fixtures/**/*.*", "bench/*.py", ".ci/*", "Dockerfile")
"""Where commands are told to people, and to CI."""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plugin but ours, whatever is installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def names(pytester: pytest.Pytester, *arguments: str) -> dict[str, set[str]]:
    """What pytest with these arguments knows, by the kind of name."""
    config = pytester.parseconfigure(*arguments)
    options = [option for group in (*config._parser._groups, config._parser._anonymous) for option in group.options]
    return {
        "options": {name for option in options for name in option.names()},
        "destinations": set(vars(config.option)),
        "ini": set(config._parser._inidict),
        "markers": {line.partition("(")[0].partition(":")[0] for line in config.getini("markers")},
    }


def test_every_name_of_ours_begins_with_drill(pytester: pytest.Pytester) -> None:
    """Options, what they are called inside, ini values, markers."""
    before, after = names(pytester), names(pytester, "-p", "servedrill.plugin")
    brought = {kind: after[kind] - before[kind] for kind in before}
    assert {kind: len(new) for kind, new in brought.items()} == {
        "options": 11,
        "destinations": 11,
        "ini": 7,
        "markers": 3,
    }
    assert [name for new in brought.values() for name in new if not name.removeprefix("--").startswith("drill")] == []
    known = {name for of_one in KNOWN.values() for name in of_one.split()}
    assert known & {name for new in brought.values() for name in new} == set()


def test_the_plugins_that_are_known_are_many() -> None:
    """And none of them has a word that begins as ours do."""
    assert len(KNOWN) >= 30
    assert [name for of_one in KNOWN.values() for name in of_one.split() if "drill" in name] == []


def test_commands_that_people_are_told_have_options_that_there_are(pytester: pytest.Pytester) -> None:
    """In docs, hints, scripts: each ``--drill-...`` exists, and ``pytest drills`` takes no other word but pytest's."""
    known = names(pytester, "-p", "servedrill.plugin", "-p", "servedrill.plugin.recorder")["options"]
    texts = [path.read_text(errors="replace") for pattern in TOLD for path in ROOT.glob(pattern) if path.is_file()]
    said = {word for text in texts for word in re.findall(r"(?<![\w-])--drill-[a-z][a-z-]*[a-z]", text)}
    commands = [line for text in texts for line in re.findall(r"pytest drills([^`\n]*)", text)]
    said |= {word for line in commands for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", line)}
    assert len(said) >= 10
    assert said - known == set()
