"""The secrets that a stack file leads to: keys that it names, environment that it fills in, URLs, hooks, commands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from servedrill.errors import UsageError
from servedrill.secrecy.forms import SHORTEST, STAND_INS, can_be_hidden
from servedrill.secrecy.known import KNOWN, learn_url
from servedrill.secrecy.looks import named_as_secret, secrets_by_look
from servedrill.stacks.commands import PLACEHOLDER
from servedrill.stacks.file import StackFile

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
"""Nobody here goes through one; what is started may, and say so."""


def learn_secrets(file: StackFile) -> None:
    """They are known from now on. What a history names things by is none: hidden, it would change the verdict."""
    told, names = msgspec.to_builtins(file), _names(file)
    found = [os.environ.get(variable) or "" for variable in key_variables(file)]
    found += [value for variable in _filled_in(told) if not _plain(value := os.environ.get(variable, ""))]
    found += [one for one in secrets_by_look(told) if "{" not in one]
    KNOWN.learn(*(one for one in found if one not in names))
    for variable in _PROXIES:
        learn_url(os.environ.get(variable) or os.environ.get(variable.upper(), ""))


def require_hidden(file: StackFile) -> None:
    """Raises `UsageError` for a key that cannot be kept out of what a run writes: a word, a number, a name of the
    stack."""
    for variable in key_variables(file):
        value = (os.environ.get(variable) or "").strip()
        if not value or value.lower() in STAND_INS or (can_be_hidden(value) and value not in _names(file)):
            continue
        raise UsageError(
            f"the value of {variable} stands in ordinary text, so it could not be kept out of what a run writes",
            where=file.path,
            expected=f"a key of {SHORTEST} characters or more that is no word, no number and no name of the stack",
            hint=f"where the stack takes any key: export {variable}=EMPTY",
        )


def key_variables(file: StackFile) -> list[str]:
    """Environment variables that hold keys: those named as such, and those filled in that are called so."""
    marks = (file.marks.grafana_key_env, file.marks.notify_env)
    named = [file.api_key_env, *marks, *(replica.api_key_env for replica in file.replica)]
    filled = (variable for variable in _filled_in(msgspec.to_builtins(file)) if named_as_secret(variable))
    return list(dict.fromkeys([*(one for one in named if one), *filled]))


def _filled_in(told: Any) -> Iterator[str]:
    """NAME of every ``{env:NAME}``."""
    if isinstance(told, str):
        yield from (match["name"] for match in PLACEHOLDER.finditer(told) if match["word"] == "env" and match["name"])
    elif isinstance(told, dict | list):
        for one in told.values() if isinstance(told, dict) else told:
            yield from _filled_in(one)


def _plain(value: str) -> bool:
    """A place of this machine: a history names it, and it opens nothing by itself."""
    return value.startswith("/") and Path(value).exists()


def _names(file: StackFile) -> str:
    """All that a history calls something by, and a verdict compares."""
    parts: list[Any] = [file.name, file.path, file.promises, file.dialect, file.weaknesses]
    parts += [[one.name, one.role] for one in file.replica]
    parts += [[one.name, one.role] for one in (*file.process, *file.container)]
    return msgspec.json.encode(parts).decode()
