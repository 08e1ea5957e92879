"""What a pytest session is asked for: the command line comes before the environment, and that before the ini file.

pytest drills --drill-stack vllm.toml          typed
SERVEDRILL_STACK=vllm.toml                     the environment, as in CI; paths from where pytest is started
drill_stack = "vllm.toml"                      pytest's ini file; paths from where the file is
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from servedrill.errors import UsageError
from servedrill.plugin import ELSEWHERE


class Found(NamedTuple):
    """A value that nobody typed."""

    value: str
    where: str
    """What to change for another one."""


def asked(config: pytest.Config, name: str) -> str | None:
    """What ``--drill-NAME`` of `ELSEWHERE` is to be; None: nobody says. Raises `UsageError` for a value that is empty:
    a variable that is not set must not drill something else.
    """
    typed = config.getoption(f"drill_{name}")
    if typed is not None:
        return str(typed)
    found = _found(config, name)
    return found.value if found else None


def seed_asked(config: pytest.Config) -> int | None:
    """The seed; None: nobody says. Raises `UsageError` for what is none."""
    from servedrill.files.arguments import seed

    text = asked(config, "seed")
    try:
        return None if text is None else seed(text)
    except argparse.ArgumentTypeError as error:
        found = _found(config, "seed")
        raise UsageError(str(error), where=found.where if found else "--drill-seed") from None


def untyped(config: pytest.Config) -> list[str]:
    """Where what nobody typed is said, for an error in it."""
    names = [name for name in ELSEWHERE if config.getoption(f"drill_{name}") is None]
    return [found.where for found in (_found(config, name) for name in names) if found]


def _found(config: pytest.Config, name: str) -> Found | None:
    variable = f"SERVEDRILL_{name.upper()}"
    value = os.environ.get(variable)
    if value is not None:
        return _not_empty(value, variable)
    value = config.getini(f"drill_{name}")
    if value is None:
        return None
    file = config.inipath
    found = _not_empty(value, f"drill_{name} of {file.name}" if file else f"-o drill_{name}")
    return found if name == "seed" or file is None else found._replace(value=_from_here(file.parent / value))


def _not_empty(value: str, where: str) -> Found:
    if not value.strip():
        raise UsageError("is empty", where=where, expected="a value, or to be left out")
    return Found(value, where)


def _from_here(path: Path) -> str:
    """Short where it can be: it is printed in the command that runs a drill again."""
    here, path = Path.cwd(), Path(os.path.normpath(path))
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
