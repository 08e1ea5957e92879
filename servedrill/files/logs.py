"""What a log says of why something went wrong."""

from __future__ import annotations

import os
import re
from pathlib import Path

from servedrill.secrecy.known import ending, hidden

_ERROR = re.compile(r"error|exception|refused|denied|cannot|failed|not found|no such", re.IGNORECASE)
_NOISE = re.compile(r"See root cause above|Traceback \(most recent call last\)|^\s*\^*\s*$|^\s+(File|raise|return) ")


_BYTES_MAX = 1 << 20


def read_log(path: Path) -> str:
    """The last MiB of its text, which is all of most; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _BYTES_MAX))
            return file.read(_BYTES_MAX).decode(errors="replace")
    except FileNotFoundError:
        return ""


def tail(path: Path) -> str:
    """The last lines of a log that look like a reason, else its last one."""
    lines = [line.strip() for line in hidden(read_log(path)).splitlines() if line.strip() and not _NOISE.search(line)]
    telling = [line for line in lines if _ERROR.search(line)][-2:] or lines[-1:]
    told = " | ".join(ending(line, 300) for line in dict.fromkeys(telling)) or "(empty)"
    return f"the end of {path}: {told}"
