"""One run at a time on a stack: a lock on a file, which the kernel lets go of however its holder ends.

    with held("https://staging.example:443", lock_folder(), what="servedrill ci drills") as lock:
        if lock.left_by:  # whoever had it before was killed: its watchdog may still be healing
            ...

The file says who has it; that is for people. What refuses a second one is the lock, so a file that somebody left says
nothing but that its holder did not get to let go.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from servedrill.errors import UsageError
from servedrill.host.processes import own_identity


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who has a stack."""

    pid: int
    start_ticks: int
    since: str
    """UTC, ISO 8601."""
    what: str
    """What it does: ``servedrill ci drills``."""
    stack: str
    runs: str = ""
    """The folder of runs that it writes to, absolute; empty where it said none."""


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """A stack is ours inside the block."""

    stack: str
    left_by: Holder | None = None
    """Who had it before and was killed before it could let go; None for any other end."""


def lock_folder() -> Path:
    """Where the locks of this user on this machine are: below XDG_RUNTIME_DIR, else in the folder of temporary files.
    It is made when a lock is taken."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(runtime, "servedrill") if runtime else Path(tempfile.gettempdir(), f"servedrill-{os.getuid()}")


@contextlib.contextmanager
def held(
    stack_identity: str, folder: Path, *, what: str = "a run", runs: str = "", noun: str = "stack"
) -> Iterator[Lock]:
    """The stack of that identity (a URL; a name with a path) is ours until the block ends; ``folder`` is where locks
    are, ``runs`` where runs are written. ``noun`` is what else may be locked so.

    Raises `UsageError` where another process, or another block of this one, has it: in one line, who, since when, what
    for; and where the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / _name(stack_identity), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(
            f"no lock can be kept there: {error.strerror}",
            where=str(folder),
            expected="a folder that can be written",
            hint="XDG_RUNTIME_DIR names another",
        ) from error
    try:
        _take(descriptor, f"{noun} {stack_identity!r}", noun)
        left_by = _read(descriptor)
        holder = own_identity()
        since = datetime.now(UTC).isoformat(timespec="seconds")
        _write(
            descriptor,
            Holder(
                pid=holder.pid,
                start_ticks=holder.start_ticks,
                since=since,
                what=what,
                stack=stack_identity,
                runs=str(Path(runs).absolute()) if runs else "",
            ),
        )
        try:
            yield Lock(stack=stack_identity, left_by=left_by)
        finally:
            with contextlib.suppress(OSError):  # it is let go of all the same
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _name(stack_identity: str) -> str:
    return f"{hashlib.sha256(stack_identity.encode()).hexdigest()[:16]}.lock"


def _take(descriptor: int, where: str, noun: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno != errno.EWOULDBLOCK:
            raise UsageError(f"cannot be locked: {error.strerror}", where=where) from error
        holder = _read(descriptor)
        who = f"pid {holder.pid} since {holder.since}: {holder.what}" if holder else "another process"
        raise UsageError(
            f"is taken by {who}",
            where=where,
            expected=f"one run at a time on a {noun}",
            hint="wait until it is over, or end that process: what it broke is healed then",
        ) from None


def _read(descriptor: int) -> Holder | None:
    """What the file says; None where it says nothing, or half of it: whoever wrote it was killed in the middle, or is
    about to go on."""
    try:
        return msgspec.json.decode(os.pread(descriptor, 1 << 16, 0), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _write(descriptor: int, holder: Holder) -> None:
    """For people; where the disk is full the lock is held all the same."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(holder), 0)
