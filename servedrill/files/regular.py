"""Files of people read at once: a pipe without a writer, a device without an end is not waited for."""

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
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError:  # a NUL in its name
        raise OSError(errno.EINVAL, "no name that a file can have") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            sort = next((name for is_one, name in _SORTS if is_one(status.st_mode)), "something else")
            raise OSError(errno.EINVAL, f"{sort} and no file")
        if bytes_max is None:
            return file.read()
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise OSError(errno.EFBIG, f"more than {bytes_max} bytes")
    return content
