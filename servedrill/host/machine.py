"""What this machine has to be and to allow, looked at before anything is started: what is missing costs one line."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import socket
import sys
from collections.abc import Iterator

from servedrill.errors import StackError, UsageError

FILES_MIN = 4096
"""Open files that a process of a drill may need: a crowd of 700 clients passes the fault proxy twice, with a socket on
either side."""
KERNEL_MIN = (5, 3)
"""The first with pidfd_open(2) and all else that is asked of it."""
_CONTAINER = "docker build -t servedrill . && docker run --init --rm --ulimit rtprio=1 servedrill"
_HINTS = {
    errno.ENOSPC: "`df -h` says where there is room; --drill-runs DIR and TMPDIR put files elsewhere",
    errno.EAGAIN: "`ulimit -u` says how many processes a user may have; the embedded stack needs about 40",
    errno.EMFILE: "`ulimit -n` says how many files a process may open",
    errno.ENOMEM: "`free -m` says how much memory is left; the embedded stack needs about 1 GB",
    errno.EROFS: "--drill-runs DIR puts a run where it can be written",
}


def require_machine() -> None:
    """Raise `UsageError` where no drill can be run: no Linux, an old kernel, no loopback, too few open files."""
    if sys.platform != "linux":
        raise UsageError(f"{platform.system()} is not Linux", where="this machine", expected="Linux", hint=_CONTAINER)
    release = platform.release()
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers and (int(numbers[1]), int(numbers[2])) < KERNEL_MIN:
        raise UsageError(f"its kernel is Linux {release}", where="this machine", expected="5.3 or newer")
    _allow_open_files()
    _require_loopback()


def _allow_open_files() -> None:
    """As many as there may be; processes that are started from now on inherit it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES_MIN:
        wanted = FILES_MIN if hard == resource.RLIM_INFINITY else min(hard, FILES_MIN)
        for limits in ((FILES_MIN, max(hard, FILES_MIN)), (wanted, hard)):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                break
            except (ValueError, OSError):  # only root may raise the hard one
                continue
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES_MIN:
        raise UsageError(
            f"a process may open {soft} files only",
            where="ulimit -n",
            expected=f"{FILES_MIN} or more: with fewer, connections would fail that the stack has no part in",
            hint=f"sudo prlimit --pid $$ --nofile={FILES_MIN}:{FILES_MIN}; in a container --ulimit nofile={FILES_MIN}",
        )


def _require_loopback() -> None:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 2):
            pass
    except OSError as error:
        raise UsageError(
            f"cannot be used: {error.strerror or error}",
            where="127.0.0.1",
            expected="a loopback interface, over which everything here talks",
            hint="`ip link set lo up`",
        ) from error


@contextlib.contextmanager
def told_in_one_line(what: str) -> Iterator[None]:
    """Raise `StackError` with the machine's own reason where it refuses something inside the block: files, processes,
    threads, memory."""
    try:
        yield
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise _refusal(what, errno.EAGAIN) from error
    except OSError as error:
        raise (_refusal(what, error.errno) if error.errno else StackError(f"{what}: {error!r}")) from error


def _refusal(what: str, number: int) -> StackError:
    return StackError(f"{what}: {os.strerror(number)}", where="this machine", hint=_HINTS.get(number, ""))
