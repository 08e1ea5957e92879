"""Placeholders in a stack file that there are not, and hops to nowhere, noted where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from servedrill.files.documents import Document
from servedrill.files.meant import meant
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key
from servedrill.stacks.commands import PLACEHOLDER, Command, ConfigFile, Container, names_of
from servedrill.stacks.roles import OTHER

HOPS = frozenset({"hop", "hop_host", "hop_port"})
"""Of a replica's fault proxy: both parts of its address, or one of them."""
PLACEHOLDERS = HOPS | {"cache", "env", "folder", "here", "host", "name", "port", "python", "version"}
"""What `servedrill.stacks.wiring` fills in."""
NAMING = HOPS | {"env", "port"}
"""Those that may have a name after a colon."""
NUMBER = "n"
"""Filled in where a count makes several of a command."""


def check_placeholders(
    mistakes: Mistakes, document: Document, commands: Mapping[Key, Command], files: list[ConfigFile]
) -> None:
    """Note every word in braces that looks like a placeholder and is none."""
    for key, command in commands.items():
        for at, text in _numbered(key, command):
            _check(mistakes, document, at, text, {*PLACEHOLDERS, NUMBER})
        if isinstance(command, Container):
            for number, mount in enumerate(command.mounts):
                _check(mistakes, document, (*key, "mounts", number), mount, PLACEHOLDERS)
    for number, file in enumerate(files):
        _check(mistakes, document, ("file", number, "text"), file.text, PLACEHOLDERS)


def check_hop_names(
    mistakes: Mistakes, document: Document, commands: Mapping[Key, Command], files: list[ConfigFile]
) -> None:
    """Note ``{hop:NAME}`` of a name that is no engine, gateway or other replica."""
    known = [name for command in commands.values() if command.role != OTHER for name in names_of(command)]
    texts = [one for key, command in commands.items() for one in _numbered(key, command)]
    texts += [(("file", number, "text"), file.text) for number, file in enumerate(files)]
    for key, text in texts:
        for match in PLACEHOLDER.finditer(text):
            name = match["name"] or ""
            if match["word"] in HOPS and name not in known:
                what, expected = f"no engine or gateway {name!r}", f"one of {', '.join(known)}"
                mistakes.wrong(document, key, what, expected=expected, hint=meant(name, known))


def _numbered(key: Key, command: Command) -> Iterator[tuple[Key, str]]:
    """The texts of a command that are filled in when it is started."""
    for number, part in enumerate(command.command):
        yield (*key, "command", number), part
    for name, value in command.env.items():
        yield (*key, "env", name), value
    if command.role != OTHER:
        yield (*key, "metrics"), command.metrics
    if not isinstance(command, Container):
        yield (*key, "folder"), command.folder


def _check(mistakes: Mistakes, document: Document, key: Key, text: str, known: set[str] | frozenset[str]) -> None:
    for match in PLACEHOLDER.finditer(text):
        word, name = match["word"], match["name"]
        if match["literal"]:
            continue
        if word not in known or (name is not None and word not in NAMING):
            expected = f"one of {', '.join('{' + one + '}' for one in sorted(known))}"
            hint = "" if word in known else meant(word, known) or f"{{{match[0]}}} where it is meant as it stands"
            mistakes.wrong(document, key, f"no placeholder {match[0]}", expected=expected, hint=hint)
