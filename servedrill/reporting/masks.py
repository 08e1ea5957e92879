"""Secrets taken out of a description of a stack before anyone is shown it."""

from __future__ import annotations

import re
from typing import Any

MASK = "•••"
_SECRET_KEY = re.compile(
    r"(api|access|private|secret|signing|encryption|auth)[-_]?key|secret|password|passwd|credential|authorization|bearer|cookie|(^|[-_.])(token|auth|key|pwd)$",
    re.IGNORECASE,
)
_IN_TEXT = (
    (re.compile(r"(?<=\w)://[^/\s:@]*+:[^/\s@]++@"), f"://{MASK}@"),
    (re.compile(r"\b(Bearer|Basic)\s++[\w.~+/=-]{6,}+", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\b(sk|hf|ghp|gho|glpat|xox[abp]|AKIA)[-_]?[A-Za-z0-9_-]{12,}+"), MASK),
    (
        re.compile(
            r"(?<![\w-])(\w*+-[\w-]*+)(?:(?<=key)|(?<=token)|(?<=secret)|(?<=password))([= ])\S++", re.IGNORECASE
        ),
        rf"\1\2{MASK}",
    ),
)
"""Each looks at every character a fixed number of times: a word is read from its beginning alone, and never again."""


def masked(value: Any) -> Any:
    """The same, with whatever a secret's name or look has replaced."""
    if isinstance(value, dict):
        return {
            key: MASK if isinstance(item, str) and item and _SECRET_KEY.search(str(key)) else masked(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return _masked_arguments([masked(item) for item in value])
    return masked_text(value) if isinstance(value, str) else value


def masked_text(text: str) -> str:
    """A line without passwords in addresses, bearer tokens and keys that look like one."""
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _masked_arguments(items: list[Any]) -> list[Any]:
    """``["--api-key", "x"]``: a command's arguments, where the name stands before its value."""
    for at, item in enumerate(items[:-1]):
        follows = items[at + 1]
        if isinstance(item, str) and isinstance(follows, str) and item.startswith("-") and _SECRET_KEY.search(item):
            items[at + 1] = MASK
    return items
