"""Everything that people can give on a command line, found in the parsers: the next option is there by being there."""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType

import pytest

from servedrill import plugin
from servedrill.commands.main import main, parser
from servedrill.files.arguments import some_path
from servedrill.toxiproxy import cli as toxiproxy

BESIDE = {"toxiproxy": ("--port", "0"), "runs --html": ("--runs", "RUNS")}
"""What a command is given beside, so that another mistake is not the first."""


@dataclass(frozen=True)
class Argument:
    """One argument of a command of ``servedrill``."""

    words: tuple[str, ...]
    """What the command is called."""
    parser: argparse.ArgumentParser
    action: argparse.Action

    @property
    def name(self) -> str:
        return " ".join([*self.words, (self.action.option_strings or [str(self.action.metavar)])[-1]])

    @property
    def is_file(self) -> bool:
        """Whether it names a file or a folder, alone or before a colon."""
        return self.action.type is some_path or self.action.metavar in (
            "MODULE:CLASS",
            "FILE",
            "DIR",
            "RUN",
            "PLAYBOOK",
        )

    def line(self, value: str, good: Mapping[str, str]) -> list[str]:
        """The command with this value, and good ones where it needs others: ``good`` by their ``metavar``."""
        line = [*self.words, *(good.get(word, word) for word in BESIDE.get(self.name, BESIDE.get(self.words[0], ())))]
        for action in self.parser._actions:
            if action is self.action:
                line += [*action.option_strings[-1:], f"{value}:It" if action.metavar == "MODULE:CLASS" else value]
            elif not action.option_strings and str(action.metavar) in good:
                line.append(good[str(action.metavar)])
            elif required(action):
                if str(action.metavar) not in good:
                    pytest.fail(f"{self.name}: what is a good {action.metavar}?")
                line += [*action.option_strings[-1:], good[str(action.metavar)]]
        return line


def required(action: argparse.Action) -> bool:
    """Whether a command is not run without; of those that may come any number of times argparse says so, too."""
    return action.required and action.nargs not in ("*", "?")


def arguments() -> list[Argument]:
    """Of every command."""
    return [*_below(parser(), ()), *_below(toxiproxy.parser(), ("toxiproxy",))]


def _below(one: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[Argument]:
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from _below(below, (*words, name))
        elif not isinstance(action, argparse._HelpAction | argparse._VersionAction):
            yield Argument(words, one, action)


def pytest_options() -> dict[str, str]:
    """Options of the plugin that take a value -> their ``metavar``."""
    every = pytest.Parser(_ispytest=True)
    plugin.pytest_addoption(every)
    options = next(group.options for group in every._groups if group.name == "servedrill")
    return {one.names()[0]: one.attrs()["metavar"] for one in options if "metavar" in one.attrs()}


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """What waits for longer fails, whatever it waits for."""

    def over(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"it waits: nothing came of it in {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def refused(line: list[str], err: Callable[[], str], *, mistakes_of: str = "") -> str:
    """Runs a command that has to be refused in one line, and exit code 4; what it said.

    ``mistakes_of``: a file of which every mistake is told, a line for each.
    """
    with within(30):
        try:
            status = main(line)
        except SystemExit as ended:
            status = int(ended.code or 0)
    said = err()
    assert status == 4, (line, status, said)
    assert "Traceback" not in said, said
    if line[:2] == ["slo", "check"]:  # a line for each mistake is what it is for, and how many there are
        said = re.sub(r"^\d+ mistakes?\n", "", said, flags=re.MULTILINE)
    else:
        assert re.match(r"servedrill|toxiproxy", said), (line, said)
    lines = said.removeprefix("servedrill: ").splitlines()
    in_the_file = mistakes_of and all(one.startswith(f"{mistakes_of}:") for one in lines)
    assert in_the_file or len(lines) == 1, (line, said)
    return said
