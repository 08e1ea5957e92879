"""JSON that a run writes, and that is read back: whatever became of the file meanwhile, it is one line and not the end
of a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from servedrill.errors import UsageError
from servedrill.files.regular import read_regular
from servedrill.files.whole import write_whole, written_json

T = TypeVar("T")


def write_written(path: Path, content: Any) -> None:
    """The file holds it, or what it held before where that cannot be. Raises `UsageError`."""
    write_whole(path, written_json(content))


def read_written(path: Path, type_: type[T], *, expected: str, hint: str) -> T:
    """The file as a ``type_``. Raises `UsageError` for one that is damaged, and `OSError` where there is none."""
    content = read_regular(path)
    try:
        return msgspec.json.decode(content, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path), expected=expected, hint=hint) from error
