"""Bad input, made of everything that can be given: each has to be one clear line and exit code 4, with nothing left.

Found in the parsers, the types of stack files and a good SLO file; so what is added is attacked by being there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from servedrill.files.arguments import some_folder, some_path, some_text
from servedrill.plugin import ELSEWHERE
from tests.stacks.test_stack_every_field import BASES, FIELDS, changed, wrong_values
from tests.worlds.asked import Argument, arguments, required
from tests.worlds.slos import PLAIN
from tests.worlds.slos import changed as slo_with
from tests.worlds.stack_files import PROCESSES

FILE = "a-file"
"""Is there, in the folder where a bad input is given: nothing can be below it."""
NUMBERS = ("", "x", "-1", "nan", "1e400", "9" * 30, "²", "0x10", "1 2")
PLACES = ("", f"{FILE}/below", "n" * 300, "a\0b")
URLS = ("", "gopher://a", "http://[::1", "http://a:b", "a b", "http://")
ENVIRONMENT = ("", "  ", f"{FILE}/below", "n" * 300)


@dataclass(frozen=True)
class Bad:
    """``line`` is given to ``servedrill``; or, where it is empty, ``env`` to pytest."""

    name: str
    line: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


def bad_inputs(good: dict[str, str]) -> Iterator[Bad]:
    """All of them; ``good`` is what else a command needs, by its ``metavar``."""
    yield from _values(good)
    yield from _commands(good)
    yield from _stack_files()
    yield from _slo_files()
    for option in ELSEWHERE:
        for number, value in enumerate(ENVIRONMENT if option != "seed" else NUMBERS):
            yield Bad(f"SERVEDRILL_{option.upper()} {number}", env={f"SERVEDRILL_{option.upper()}": value})


def _values(good: dict[str, str]) -> Iterator[Bad]:
    for argument in arguments():
        for number, value in enumerate(_bad_values(argument.action)):
            yield Bad(f"{argument.name} {number}", tuple(argument.line(value, good)))


def _bad_values(action: argparse.Action) -> tuple[str, ...]:
    if action.metavar == "URL":
        return URLS
    if action.type in (some_path, some_folder) or action.metavar == "DIR":
        return PLACES
    if action.type is some_text:
        return ("", " ")
    if action.choices:
        return ("no such word", "")
    return NUMBERS if action.type is not None else ()


def _commands(good: dict[str, str]) -> Iterator[Bad]:
    """Without what it needs, and with what nobody knows."""
    seen: dict[tuple[str, ...], Argument] = {one.words: one for one in arguments()}
    for words, one in seen.items():
        needed = [action for action in one.parser._actions if required(action)]
        if needed:
            yield Bad(f"{' '.join(words)} alone", words)
        if words[:1] != ("ci",):  # pytest's are taken
            yield Bad(f"{' '.join(words)} --nobody", (*words, *needs(one, good), "--nobody\nknows"))


def needs(one: Argument, good: dict[str, str]) -> list[str]:
    """What its command is not run without."""
    needed = [action for action in one.parser._actions if required(action)]
    return [word for each in needed for word in (*each.option_strings[-1:], good[str(each.metavar)])]


def _stack_files() -> Iterator[Bad]:
    for name, (key, type_) in FIELDS.items():
        for number, value in enumerate(wrong_values(type_)):
            if number % 4 == len(name) % 4:  # the others have a test of their own
                text = changed(BASES.get(str(key[0]), PROCESSES), key, value)
                yield Bad(f"stack file, {name} {number}", ("stack", "up", "--stack", "s.toml"), {"s.toml": text})


def _slo_files() -> Iterator[Bad]:
    for key in _keys(PLAIN):
        kinds: tuple[Any, ...] = ({"no such key": 1}, 10**30, [[7.5]])
        for number, value in enumerate(kinds):
            text = yaml.safe_dump(slo_with(".".join(map(str, key)), value))
            yield Bad(f"SLO file, {'.'.join(map(str, key))} {number}", ("slo", "show", "s.yaml"), {"s.yaml": text})


def _keys(value: Any, key: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, below in items:
        yield (*key, name)
        yield from _keys(below, (*key, name))
