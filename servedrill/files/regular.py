"""Files of people are opened at once: a pipe without a writer, a device without an end is not waited for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_SORTS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_regular(path: Path, *, bytes_max: int | None = None) -> bytes:
    """The content of a file.

    Raises `OSError`, whose ``strerror`` says why, for what cannot be read, is no file, or has more than ``bytes_max``.
    """
    with os.fdopen(_open(path), "rb") as file:
        if bytes_max is None:
            return file.read()
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise OSError(errno.EFBIG, f"more than {bytes_max} bytes")
    return content


def require_place(path: Path) -> None:
    """Raise `OSError` where something else than a file is in a file's place: whoever writes there would wait for ever,
    or put a file where a device was."""
    try:
        status = path.stat()
    except (FileNotFoundError, PermissionError):
        return  # writing says it better
    except ValueError:
        raise OSError(errno.EINVAL, "no name that a file can have", str(path)) from None
    if sort := _no_file(status):
        raise OSError(errno.EINVAL, sort, str(path))


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError:  # a NUL in its name
        raise OSError(errno.EINVAL, "no name that a file can have") from None
    if sort := _no_file(os.fstat(descriptor)):
        os.close(descriptor)
        raise OSError(errno.EINVAL, sort)
    return descriptor


def _no_file(status: os.stat_result) -> str:
    if stat.S_ISREG(status.st_mode):
        return ""
    sort = next((name for is_one, name in _SORTS if is_one(status.st_mode)), "something else")
    return f"{sort} and no file"
