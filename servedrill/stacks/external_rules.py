"""What ``[external]`` and ``[[replica]]`` of a stack file have to be, beyond their shape."""

from __future__ import annotations

from urllib.parse import urlsplit

from servedrill.files.documents import Document
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key
from servedrill.stacks.file import StackFile
from servedrill.stacks.proxy_rules import HOST_PORT, is_address
from servedrill.stacks.roles import grouped

_URL = "http://host:port or https://host"


def check_external(mistakes: Mistakes, document: Document, file: StackFile) -> dict[str, list[str]] | None:
    """As `servedrill.stacks.kinds.Check`."""
    if file.external is None:
        expected = 'where users come in: [external] url = "http://..."'
        mistakes.wrong(document, ("external",), "is missing", expected=expected)
    elif not _is_url(file.external.url):
        mistakes.wrong(document, ("external", "url"), f"is {file.external.url!r}", expected=_URL)
    first: dict[str, int] = {}
    for number, replica in enumerate(file.replica):
        key = ("replica", number)
        if first.setdefault(replica.name, number) != number:
            line = document.at(("replica", first[replica.name], "name")).line
            what = f"{replica.name!r} twice, first in line {line}"
            mistakes.wrong(document, (*key, "name"), what, expected="a name of its own for each")
        if not _is_url(replica.url):
            mistakes.wrong(document, (*key, "url"), f"is {replica.url!r}", expected=_URL)
        if replica.listen and not is_address(replica.listen):
            mistakes.wrong(document, (*key, "listen"), f"is {replica.listen!r}", expected=HOST_PORT)
    keys: list[Key] = [("replica",)]
    keys += [("replica", number, field) for number in range(len(file.replica)) for field in ("name", "role")]
    if any(mistakes.in_doubt(document, key) for key in keys):
        return None
    return grouped(file.replica)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
