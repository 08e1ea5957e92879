"""What a log says of why something went wrong."""

from __future__ import annotations

import re
from pathlib import Path

_ERROR = re.compile(r"error|exception|refused|denied|cannot|failed|not found|no such", re.IGNORECASE)
_NOISE = re.compile(r"See root cause above|Traceback \(most recent call last\)|^\s*\^*\s*$|^\s+(File|raise|return) ")


def read_log(path: Path) -> str:
    """Its text; empty where there is none."""
    return path.read_text(errors="replace") if path.exists() else ""


def tail(path: Path) -> str:
    """The last lines of a log that look like a reason, else its last one."""
    lines = [line.strip() for line in read_log(path).splitlines() if line.strip() and not _NOISE.search(line)]
    telling = [line for line in lines if _ERROR.search(line)][-2:] or lines[-1:]
    told = " | ".join(line[-300:] for line in dict.fromkeys(telling)) or "(empty)"
    return f"the end of {path}: {told}"
