"""Files that are there whole or not at all: whoever reads one at any moment never sees half of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec

from servedrill.errors import UsageError
from servedrill.files.regular import require_place
from servedrill.secrecy.known import hidden_within


def write_whole(path: Path, content: bytes) -> None:
    """Write beside the path and put it in place; what stood there before stays until then.

    Raises `UsageError` where it cannot be written, or where no file stands, and leaves nothing behind then.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        require_place(path)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise UsageError(
            f"cannot be written: {error.strerror}", where=str(path), expected="a place for a file"
        ) from error


def written_json(value: Any) -> bytes:
    """What is written of a run as JSON beside its history: for people to read, and without secrets."""
    told = hidden_within(msgspec.to_builtins(value))
    return msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n"
