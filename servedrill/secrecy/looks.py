"""Secrets told by their look, where nobody has said that they are any: passwords in addresses, bearer tokens, keys.

A stack file that has some in it makes them known; a description is shown without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from servedrill.secrecy.forms import secrets_of_url
from servedrill.secrecy.known import MASK

_SECRET_KEY = re.compile(
    r"^(?!.*_env$).*?(?:(api|access|private|secret|signing|encryption|auth)[-_]?key|secret|password|passwd|credential"
    r"|authorization|bearer|cookie|(^|[-_.])(token|auth|key|pwd)$)",
    re.IGNORECASE,
)
_IN_TEXT = (
    re.compile(r"(?<=\w)://(?P<secret>[^/\s:@]*+:[^/\s@]++)@"),
    re.compile(r"\b(?:Bearer|Basic)\s++(?P<secret>[\w.~+/=-]{6,}+)", re.IGNORECASE),
    re.compile(r"\b(?P<secret>(?:sk|hf|ghp|gho|glpat|xox[abp]|AKIA)[-_]?[A-Za-z0-9_-]{12,}+)"),
    re.compile(
        r"(?<![\w-])\w*+-[\w-]*+(?:(?<=key)|(?<=token)|(?<=secret)|(?<=password))[= ](?P<secret>\S++)", re.IGNORECASE
    ),
)
"""Each looks at every character a fixed number of times: a word is read from its beginning alone, and never again."""
_URL = re.compile(r"\b\w++://[^\s\"'<>]++")


def named_as_secret(name: str) -> bool:
    """Whether a variable, a field or an option is called as what holds a secret."""
    return _SECRET_KEY.search(name) is not None


def masked(value: Any) -> Any:
    """The same, with whatever a secret's name or look has replaced."""
    if isinstance(value, dict):
        return {
            key: MASK if isinstance(item, str) and item and named_as_secret(str(key)) else masked(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        items = [masked(item) for item in value]
        for at in _after_names(items):
            items[at] = MASK
        return items
    return masked_text(value) if isinstance(value, str) else value


def masked_text(text: str) -> str:
    """A line without passwords in addresses, bearer tokens and keys that look like one."""
    for pattern in _IN_TEXT:
        text = pattern.sub(_masked_match, text)
    return text


def secrets_by_look(value: Any) -> Iterator[str]:
    """What `masked` replaces, and whatever else may be secret in a URL."""
    if isinstance(value, dict):
        yield from (item for key, item in value.items() if isinstance(item, str) and named_as_secret(str(key)))
        for item in value.values():
            yield from secrets_by_look(item)
    elif isinstance(value, list):
        yield from (value[at] for at in _after_names(value))
        for item in value:
            yield from secrets_by_look(item)
    elif isinstance(value, str):
        for pattern in _IN_TEXT:
            yield from (match["secret"] for match in pattern.finditer(value))
        for url in _URL.findall(value):
            yield from secrets_of_url(url)


def _masked_match(match: re.Match[str]) -> str:
    begun, ended = match.start("secret") - match.start(), match.end("secret") - match.start()
    return match[0][:begun] + MASK + match[0][ended:]


def _after_names(items: list[Any]) -> Iterator[int]:
    """``["--api-key", "x"]``: places in a command's arguments where the name stands before its value."""
    for at, (item, follows) in enumerate(pairwise(items)):
        if isinstance(item, str) and isinstance(follows, str) and item.startswith("-") and named_as_secret(item):
            yield at + 1
