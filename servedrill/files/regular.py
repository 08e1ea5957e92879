"""Files of people read whole, and at once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from servedrill.host.regular import open_regular


def read_regular(path: Path, *, bytes_max: int | None = None) -> bytes:
    """The content of a file.

    Raises `OSError`, whose ``strerror`` says why, for what cannot be read, is no file, or has more than ``bytes_max``.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        if bytes_max is None:
            return file.read()
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise OSError(errno.EFBIG, f"more than {bytes_max} bytes")
    return content
