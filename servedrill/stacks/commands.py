"""The commands of a process stack as its file writes them, and their placeholders filled in.

[[process]]
name = "engine-0"
role = "engine"
command = ["{cache}/vllm/bin/python", "-m", "vllm...", "--port", "{port}"]

    {port}        this process's own port       {port:NAME}   another's, or any name: a free port of its own
    {hop:NAME}    host:port of the fault proxy in front of NAME: how others reach it
    {version}     the model version that it is to serve
    {name}        its name                      {n}           its number, where ``count`` makes several of it
    {folder}      the drill's folder
    {cache}       $SERVEDRILL_CACHE, or ~/.cache/servedrill
    {here}        the folder of the stack file  {python}      the Python that runs servedrill
    {env:NAME}    an environment variable, which has to be set
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from servedrill.errors import UsageError
from servedrill.stacks.roles import OTHER, Service
from servedrill.stacks.supervisor import Restart

PLACEHOLDER = re.compile(r"\{(?P<literal>\{+\w+(?::[\w.-]+)?\}+)\}|\{(?P<word>\w+)(?::(?P<name>[\w.-]+))?\}")
"""Two pairs of braces or more are ``literal``: one pair is taken off, and no placeholder is looked for."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a process counts as up: its path answers 200 and, where a pattern is given, its log has shown it."""

    path: str = "/health"
    """Empty: no HTTP probe."""
    log: str = ""
    within_s: Annotated[float, msgspec.Meta(gt=0, le=1e7)] = 60.0


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One process of the stack."""

    name: str
    count: int = 1
    """More than one: that many, named NAME-0, NAME-1 ..."""
    command: list[str]
    role: str = OTHER
    """``engine``, ``gateway``, or another word for another sort of replica; ``other`` is none, and runs beside them."""
    serves: list[Service] = []
    """What it does for an answer, where that is not what its role usually does."""
    env: dict[str, str] = {}
    """Added to the environment that servedrill runs in."""
    port: int = 0
    """0: any free one."""
    folder: str = "{folder}"
    ready: Ready | None = Ready()
    after: list[str] = []
    """Processes that have to be ready before this one starts."""
    restart: Restart = Restart()
    core: str = ""
    """A pattern of the command line of the child that computes: what ``part="core"`` of a fault means."""
    health: str = "/health"
    """Where it answers 200 while it is well, once it has started: looked at all the time, so it should cost nothing."""
    metrics: str = ""
    """URL of its metrics page, where that is not at /metrics of its own port; ``none`` where it has none."""
    published: str = ""
    """The address that its proxy listens on, 127.0.0.x: for gateways behind a DNS name."""


class Container(Command, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One container of the stack: made from an image, or one that is there already.

    Its port is the same inside and on this machine's loopback; it listens on every address inside, and others reach it
    by its name.
    """

    command: list[str] = []
    """Empty: the image's own."""
    image: str = ""
    """``servedrill``: an image of this very Python and package, made when it is needed."""
    build: str = ""
    """A folder with a Dockerfile, or the files of a root file system, relative to the stack file."""
    existing: str = ""
    """The name of a container that runs already, or ``label=KEY=VALUE``; it is neither made nor removed."""
    mounts: list[str] = []
    """As for ``docker run --volume``: what is here, where it is inside, ``ro`` or ``rw``."""
    memory: str = ""
    """The limit of its memory, without swap: ``512m``."""


class ConfigFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that commands or containers read, written below the drill's folder with its placeholders filled in."""

    path: str
    text: str


AnyCommand = TypeVar("AnyCommand", bound=Command)
COUNT_MAX = 64


def names_of(command: Command) -> list[str]:
    """The processes that one command comes to: NAME, or NAME-0, NAME-1 ..."""
    return [f"{command.name}-{n}" for n in range(command.count)] if command.count > 1 else [command.name]


def expanded(commands: Sequence[AnyCommand], among: Sequence[Command]) -> list[AnyCommand]:
    """One command for each process; ``after`` names all that a count makes of one ``among`` all of the stack."""
    families = {command.name: names_of(command) for command in among}
    found = []
    for command in commands:
        after = [one for name in command.after for one in families.get(name, [name])]
        for n, name in enumerate(families[command.name]):

            def numbered(text: str, n: int = n) -> str:
                return text.replace("{n}", str(n))

            found.append(
                msgspec.structs.replace(
                    command,
                    name=name,
                    count=1,
                    after=after,
                    command=[numbered(part) for part in command.command],
                    env={key: numbered(value) for key, value in command.env.items()},
                    folder=numbered(command.folder),
                    metrics=numbered(command.metrics),
                    published=numbered(command.published),
                )
            )
    return found


class Name(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A DNS name in front of the gateways, with health checks, answered by servedrill's own server."""

    name: str = "gateway.stack.test"
    ttl_s: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 1
    check_interval_s: Annotated[float, msgspec.Meta(gt=0, le=1e7)] = 0.2
    check_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=1e7)] = 0.3
    check_failures: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 2


def cache_folder() -> Path:
    """Where what is too large for a repository lies: virtual environments, models."""
    return Path(os.environ.get("SERVEDRILL_CACHE") or "~/.cache/servedrill").expanduser()


def fill(text: str, values: Mapping[str, str | Callable[[str], str]], *, where: str) -> str:
    """The text with every placeholder replaced; braces that hold anything else (JSON) are left alone, and ``{{WORD}}``
    becomes ``{WORD}``.

    Raises `UsageError` for a word that is none.
    """

    def value(match: re.Match[str]) -> str:
        word, name = match["word"], match["name"]
        if match["literal"]:
            return match["literal"]
        known = values.get(word)
        if known is None or (name is not None and isinstance(known, str)):
            raise UsageError(
                f"no placeholder {match[0]}",
                where=where,
                expected=f"one of {', '.join('{' + word + '}' for word in sorted(values))}",
                hint=f"{{{match[0]}}} where it is meant as it stands",
            )
        return known if isinstance(known, str) else known(name or "")

    return PLACEHOLDER.sub(value, text)


def environment_variable(name: str, *, where: str) -> str:
    """Raises `UsageError` when it is not set."""
    value = os.environ.get(name)
    if not value:
        raise UsageError(f"{name} is not set", where=where, expected="it in the environment", hint=f"export {name}=...")
    return value


def python() -> str:
    """The Python that runs servedrill."""
    return sys.executable
