"""prctl(2): what a process asks of the kernel about its family, so that nothing outlives whoever started it."""

from __future__ import annotations

import ctypes
import os
import signal

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None, use_errno=True).prctl
"""Found when this is imported: between fork and exec nothing may be looked up any more."""


def end_with_parent() -> None:
    """SIGKILL to this process when its parent ends, however that ends. Raises `OSError`.

    The parent is the thread that made this process: when that thread ends, its process has as good as ended.
    """
    parent = os.getppid()
    _ask(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the request took effect
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """What descendants of this process leave behind becomes its own child, and not init's. Raises `OSError`."""
    _ask(_SET_CHILD_SUBREAPER, 1)


def _ask(option: int, value: int) -> None:
    if _prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl option {option}: {os.strerror(number)}")
