"""What commands and containers of a stack file have to be together, beyond their shape.

How to add a rule: `servedrill.files.mistakes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from servedrill.files.documents import Document
from servedrill.files.meant import meant
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key
from servedrill.stacks.address_rules import check_command_addresses
from servedrill.stacks.commands import COUNT_MAX, Command, Container, expanded, names_of
from servedrill.stacks.file import StackFile
from servedrill.stacks.placeholder_rules import check_hop_names, check_placeholders
from servedrill.stacks.roles import ENGINE, OTHER, grouped

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_MEMORY = re.compile(r"\d+[bkmg]?")


def check_processes(mistakes: Mistakes, document: Document, file: StackFile) -> dict[str, list[str]] | None:
    """As `servedrill.stacks.kinds.Check`, of stacks of commands and containers."""
    commands: dict[Key, Command] = {("process", number): one for number, one in enumerate(file.process)}
    commands |= {("container", number): one for number, one in enumerate(file.container)}
    check_commands(mistakes, document, commands)
    check_placeholders(mistakes, document, commands, file.file)
    for number, written in enumerate(file.file):
        if Path(written.path).is_absolute() or ".." in Path(written.path).parts:
            what, expected = f"is {written.path!r}", "a path below the drill's folder"
            mistakes.wrong(document, ("file", number, "path"), what, expected=expected)
    if names_in_doubt(mistakes, document, commands):
        return None
    check_hop_names(mistakes, document, commands, file.file)
    return grouped(expanded([*commands.values()], [*commands.values()]))


def check_commands(mistakes: Mistakes, document: Document, commands: Mapping[Key, Command]) -> None:
    """Note all that keeps the commands, each with its key such as ``("process", 0)``, from being started as written."""
    for key, command in commands.items():
        _check(mistakes, document, key, command)
    check_command_addresses(mistakes, document, commands)
    first: dict[str, Key] = {}
    for key, command in commands.items():
        names = names_of(command) if command.count <= COUNT_MAX else []
        for name in names:
            if name in first:
                line = document.at((*first[name], "name")).line
                what = f"{name!r} twice, first in line {line}"
                mistakes.wrong(document, (*key, "name"), what, expected="a name of its own for each")
                break
        first |= {name: key for name in names if name not in first}
    if not names_in_doubt(mistakes, document, commands):
        _check_engines(mistakes, document, commands)
        _check_order(mistakes, document, commands, first)


def names_in_doubt(mistakes: Mistakes, document: Document, commands: Mapping[Key, Command]) -> bool:
    """Whether it is not known for sure which processes there are, so that nothing can be said of references to them."""
    tables = {("process",), ("container",)}
    if not all(1 <= command.count <= COUNT_MAX for command in commands.values()):
        return True
    fields = {(*key, field) for key in commands for field in ("name", "role", "count")}
    return any(mistakes.in_doubt(document, key) for key in tables | fields | set(commands))


def _check(mistakes: Mistakes, document: Document, key: Key, command: Command) -> None:
    if not _NAME.fullmatch(command.name):
        what = f"{command.name!r} is no file name"
        mistakes.wrong(document, (*key, "name"), what, expected="letters, digits, _ . and -")
    if not 1 <= command.count <= COUNT_MAX:
        mistakes.wrong(document, (*key, "count"), f"is {command.count}", expected=f"1 to {COUNT_MAX}")
    if not 0 <= command.port <= 65535:
        mistakes.wrong(document, (*key, "port"), f"is {command.port}", expected="0 to 65535")
    for name in command.env:
        if not name or "=" in name:
            mistakes.wrong(
                document, (*key, "env", name), f"{name!r} is no name of a variable", expected="one without ="
            )
    if command.ready is None and command.role != OTHER:
        mistakes.wrong(document, (*key, "ready"), "is empty", expected="how engines and gateways say that they are up")
    if isinstance(command, Container):
        _check_container(mistakes, document, key, command)
    elif not command.command:
        expected = "a list of texts: the program and its arguments"
        mistakes.wrong(document, (*key, "command"), "is empty", expected=expected)


def _check_container(mistakes: Mistakes, document: Document, key: Key, container: Container) -> None:
    sources = [name for name in ("image", "build", "existing") if getattr(container, name)]
    if len(sources) != 1:
        what = f"has {' and '.join(sources) or 'no image'}"
        mistakes.wrong(document, key, what, expected="exactly one of image, build, existing")
    if container.existing and not container.port:
        expected = "the port that the container has on this machine's loopback"
        mistakes.wrong(document, (*key, "port"), "is missing", expected=expected)
    if container.memory and not _MEMORY.fullmatch(container.memory):
        what = f"is {container.memory!r}"
        mistakes.wrong(document, (*key, "memory"), what, expected="a number with b, k, m or g: 512m")
    for number, mount in enumerate(container.mounts):
        if mount.count(":") not in (1, 2):
            expected = "HERE:INSIDE or HERE:INSIDE:ro"
            mistakes.wrong(document, (*key, "mounts", number), f"is {mount!r}", expected=expected)


def _check_engines(mistakes: Mistakes, document: Document, commands: Mapping[Key, Command]) -> None:
    if not any(command.role == ENGINE for command in commands.values()):
        table = "container" if any(isinstance(command, Container) for command in commands.values()) else "process"
        expected = f'at least one [[{table}]] with role = "{ENGINE}"'
        hint = next((found for command in commands.values() if (found := meant(command.role, [ENGINE]))), "")
        mistakes.wrong(document, (table,), "no engine", expected=expected, hint=hint)


def _check_order(
    mistakes: Mistakes, document: Document, commands: Mapping[Key, Command], first: Mapping[str, Key]
) -> None:
    known = {**{command.name: key for key, command in commands.items()}, **first}
    for key, command in commands.items():
        for number, name in enumerate(command.after):
            if name not in known:
                at, expected = (*key, "after", number), f"one of {', '.join(sorted(known))}"
                mistakes.wrong(document, at, f"no process {name!r}", expected=expected, hint=meant(name, known))
    left = {key: {known[name] for name in command.after if name in known} for key, command in commands.items()}
    while ended := [key for key, after in left.items() if not after & left.keys()]:
        for key in ended:
            del left[key]
    while outside := [key for key in left if not any(key in after for after in left.values())]:
        for key in outside:  # it waits for a circle and is in none
            del left[key]
    if left:
        names = sorted(commands[key].name for key in left)
        what = f"{', '.join(names)} wait for each other" if len(names) > 1 else f"{names[0]} waits for itself"
        mistakes.wrong(document, (*min(left), "after"), what, expected="an order to start in")
