"""What ``[external]`` and ``[[replica]]`` of a stack file have to be, beyond their shape."""

from __future__ import annotations

import shlex

import msgspec

from servedrill.files.documents import Document
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key
from servedrill.stacks.address_rules import HOST_PORT, URL, is_address, is_url
from servedrill.stacks.file import StackFile
from servedrill.stacks.hooks import Hooks
from servedrill.stacks.roles import grouped


def check_external(mistakes: Mistakes, document: Document, file: StackFile) -> dict[str, list[str]] | None:
    """As `servedrill.stacks.kinds.Check`."""
    if file.external is None:
        expected = 'where users come in: [external] url = "http://..."'
        mistakes.wrong(document, ("external",), "is missing", expected=expected)
    elif not is_url(file.external.url):
        mistakes.wrong(document, ("external", "url"), f"is {file.external.url!r}", expected=URL)
    first: dict[str, int] = {}
    for number, replica in enumerate(file.replica):
        key = ("replica", number)
        if first.setdefault(replica.name, number) != number:
            line = document.at(("replica", first[replica.name], "name")).line
            what = f"{replica.name!r} twice, first in line {line}"
            mistakes.wrong(document, (*key, "name"), what, expected="a name of its own for each")
        if not is_url(replica.url):
            mistakes.wrong(document, (*key, "url"), f"is {replica.url!r}", expected=URL)
        for field in msgspec.structs.fields(Hooks):
            _check_hook(mistakes, document, (*key, "hooks", field.name), getattr(replica.hooks, field.name))
        if replica.listen and not is_address(replica.listen):
            mistakes.wrong(document, (*key, "listen"), f"is {replica.listen!r}", expected=HOST_PORT)
    keys: list[Key] = [("replica",)]
    keys += [("replica", number, field) for number in range(len(file.replica)) for field in ("name", "role")]
    if any(mistakes.in_doubt(document, key) for key in keys):
        return None
    return grouped(file.replica)


def _check_hook(mistakes: Mistakes, document: Document, key: Key, command: str) -> None:
    try:
        shlex.split(command)
    except ValueError as error:
        mistakes.wrong(document, key, f"is no command line: {error}", expected="quotation marks in pairs")
