"""Memory cgroups, version 1 and 2: made below our own, one for each replica whose memory is to be limited."""

from __future__ import annotations

import contextlib
from pathlib import Path

from servedrill.errors import ServedrillError

_ROOT = Path("/sys/fs/cgroup")


class NoMemoryGroup(ServedrillError):
    """This system allows no memory cgroup of ours, and why."""


UNLIMITED = {1: "-1", 2: "max"}


def version_of(group: Path) -> int:
    """1 or 2."""
    return 2 if (group / "memory.max").exists() else 1


def place(name: str) -> Path:
    """Where a new memory cgroup of that name would be: below (version 1) or beside (version 2) the one that this
    process is in.

    Raises `NoMemoryGroup` where none is mounted.
    """
    return _own_group() / name


def make(group: Path) -> None:
    """Make the cgroup at a `place`. Raises `NoMemoryGroup` where none can be made."""
    parent = group.parent
    try:
        if (parent / "cgroup.subtree_control").exists() and "memory" not in (
            parent / "cgroup.subtree_control"
        ).read_text():
            (parent / "cgroup.subtree_control").write_text("+memory")
        group.mkdir()
    except OSError as error:
        raise NoMemoryGroup(f"no cgroup {group}: {error.strerror}") from error
    if not (group / "memory.max").exists() and not (group / "memory.limit_in_bytes").exists():
        group.rmdir()
        raise NoMemoryGroup(f"no cgroup {group}: the memory controller is off")
    _no_swap(group)


def _no_swap(group: Path) -> None:
    """A limit that lets pages out to swap would never kill."""
    for name in ("memory.swap.max", "memory.swappiness"):
        with contextlib.suppress(OSError):
            if (group / name).exists():
                (group / name).write_text("0")


def _own_group() -> Path:
    own = group_of("self")
    # A version 2 group with processes in it can have no controlled children.
    return own if own == _ROOT or (_ROOT / "memory") in own.parents or own == _ROOT / "memory" else own.parent


def group_of(pid: int | str) -> Path:
    """The memory cgroup that a process is in. Raises `NoMemoryGroup` where there is none."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            return _ROOT / "memory" / path.lstrip("/")
    for number, _, path in lines:
        if number == "0" and (_ROOT / "cgroup.controllers").exists():
            return _ROOT / path.lstrip("/")
    raise NoMemoryGroup(f"no memory cgroup is mounted at {_ROOT}")


def limit_file(group: Path) -> Path:
    """Where its limit is read and set."""
    return group / ("memory.max" if version_of(group) == 2 else "memory.limit_in_bytes")


def usage_bytes(group: Path) -> int:
    """Anonymous memory of the group: what its processes hold, without the page cache."""
    for line in (group / "memory.stat").read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == ("anon" if version_of(group) == 2 else "rss"):
            return int(value)
    return 0


def oom_kills(group: Path) -> int:
    """How many processes of the group the kernel has killed for want of memory."""
    events = group / ("memory.events" if version_of(group) == 2 else "memory.oom_control")
    for line in events.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == "oom_kill":
            return int(value)
    return 0


def is_empty(group: Path) -> bool:
    """Whether no process is left in it."""
    return not (group / "cgroup.procs").read_text().split()
