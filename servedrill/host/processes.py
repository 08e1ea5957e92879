"""Processes as the kernel shows them: identity that survives the reuse of pids, state, children, memory."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from servedrill.host.sockets import listeners

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid and the instant of its start (clock ticks since boot): the same pair is the same process."""

    pid: int
    start_ticks: int

    @property
    def alive(self) -> bool:
        """Whether this very process is there and not a zombie."""
        status = read_status(self.pid)
        return status is not None and status.start_ticks == self.start_ticks and status.state not in "ZX"


@dataclass(frozen=True, slots=True)
class Status:
    """``state`` as in proc(5): R running, S sleeping, T stopped, Z zombie; ``rss_bytes`` resident memory."""

    pid: int
    parent: int
    state: str
    start_ticks: int
    rss_bytes: int


def read_status(pid: int) -> Status | None:
    """None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return Status(pid, int(fields[1]), fields[0], int(fields[19]), int(fields[21]) * _PAGE_BYTES)


def resident_bytes(pid: int) -> int:
    """Resident memory by ``/proc/PID/statm``, which is cheap to read; 0 when there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0


def identify(pid: int) -> ProcessId | None:
    """The identity of a running process."""
    status = read_status(pid)
    return None if status is None else ProcessId(pid, status.start_ticks)


def own_identity() -> ProcessId:
    """The identity of this process; asked each time, as a fork is another process."""
    identity = identify(os.getpid())
    assert identity is not None
    return identity


def with_variable(variable: str) -> list[ProcessId]:
    """Processes that were started with ``NAME=value`` in their environment, and those that these have forked."""
    found: list[ProcessId] = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                environment = Path(entry.path, "environ").read_bytes()
            except OSError:  # gone, or somebody else's
                continue
            if variable.encode() in environment.split(b"\0") and (one := identify(int(entry.name))) is not None:
                found.append(one)
    return found


def children(pid: int) -> list[int]:
    """Direct children, in the order of their start."""
    found: list[int] = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        return []
    for task in tasks:
        try:
            found += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def family(pid: int) -> list[int]:
    """A process, and all below it."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def pid_listening(host: str, port: int) -> int | None:
    """Who takes connections to an address of this machine; None where nobody does, or nobody whom this user may look
    at. Of several that share the socket the first, from whom the others come."""
    try:
        wanted = {f"socket:[{inode}]" for inode in listeners(host, port)}
    except (OSError, ValueError):
        return None
    for pid in sorted(int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()) if wanted else ():
        with contextlib.suppress(OSError):
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(fd.readlink()) in wanted:
                        return pid
    return None


def count_sockets(pid: int) -> int:
    """Open sockets of a process."""
    count = 0
    try:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                count += str(fd.readlink()).startswith("socket:")
            except FileNotFoundError:
                continue
    except (FileNotFoundError, PermissionError):
        return 0
    return count
