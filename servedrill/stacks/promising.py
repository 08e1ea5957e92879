"""Promises written into a stack file, beside what people wrote there.

What somebody stated stays. Lines that a measurement wrote say so, and are written anew by the next one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from servedrill.errors import UsageError
from servedrill.files.whole import write_whole

MARK = "# measured"
_TABLE = re.compile(r"^\s*\[\s*promises\s*\]\s*(#.*)?$")
_ANY_TABLE = re.compile(r"^\s*\[")


def line_of(name: str, value: Any, because: str) -> str:
    """One promise with what it comes from."""
    return f"{name} = {msgspec.json.encode(value).decode()}  {MARK}: {because}"


def with_promises(text: str, lines: Iterable[str], *, where: str) -> str:
    """A stack file's text with these lines in its ``[promises]``.

    Raises `UsageError` for a text in which there is no place for them.
    """
    old = text.splitlines()
    start = next((number for number, line in enumerate(old) if _TABLE.match(line)), None)
    if start is None:
        if "promises" in _parsed(text, where):
            what, expected = "its promises are no table of their own", "a line [promises], below which they can stand"
            raise UsageError(what, where=where, expected=expected, hint="write the lines above into it by hand")
        old += ["", "[promises]"]
        start = len(old) - 1
    end = next((number for number in range(start + 1, len(old)) if _ANY_TABLE.match(old[number])), len(old))
    kept = [line for line in old[start + 1 : end] if MARK not in line]
    stated = set(_parsed("\n".join(kept), where))
    added = [line for line in lines if line.partition(" ")[0] not in stated]
    while kept and not kept[-1].strip():
        kept.pop()
    after = ["", *old[end:]] if end < len(old) else []
    return "\n".join([*old[: start + 1], *kept, *added, *after]) + "\n"


def write_promises(path: Path, lines: Iterable[str]) -> list[str]:
    """Put them into a stack file, and say which of them were left out since somebody stated them.

    Raises `UsageError` for a file that is no TOML, has no place for them or cannot be written; it stays as it was then.
    """
    if path.suffix.lower() not in (".toml", ""):
        hint = "write the lines above into it by hand"
        raise UsageError(f"is no TOML ({path.suffix})", where=str(path), expected="a stack file in TOML", hint=hint)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from error
    lines = list(lines)
    written = with_promises(text, lines, where=str(path))
    _parsed(written, str(path))
    write_whole(path, written.encode())
    return [line.partition(" ")[0] for line in lines if line not in written.splitlines()]


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"is no TOML: {error}", where=where) from error
