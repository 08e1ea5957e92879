"""A memory limit that servedrill keeps itself, where the system allows no memory cgroup.

A ballast grows in a process of its own. After each MiB it adds up what the replica's processes hold, and what it took
itself (``/proc/PID/statm``, resident pages). At the limit it kills whom the kernel would choose: the highest
``/proc/PID/oom_score``. It looks once a millisecond, so the sum passes the limit by a MiB or two.

    python -m servedrill.faults.kept_limit MIB_MAX LIMIT_BYTES PID:START_TICKS ...

It begins when a line comes on standard input, and answers with one line of JSON: `Killed`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from servedrill.host.processes import ProcessId, identify, resident_bytes

_MIB = 1 << 20


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the ballast killed, and what all held then."""

    pid: int
    used_bytes: int


def main(mib_max: int, limit_bytes: int, family: list[ProcessId]) -> int:
    """Grow and kill; exit status 1 where ``mib_max`` did not reach the limit."""
    if not sys.stdin.readline():  # whoever would have said so is gone
        return 1
    me = identify(os.getpid())
    assert me is not None
    mine_before = resident_bytes(me.pid)
    held: list[bytearray] = []
    for _ in range(mib_max):
        held.append(bytearray(b"\x5a") * _MIB)
        used = sum(resident_bytes(one.pid) for one in family if one.alive) + resident_bytes(me.pid) - mine_before
        if used >= limit_bytes:
            victim = max((one for one in (*family, me) if one.alive), key=lambda one: _oom_score(one.pid))
            sys.stdout.write(msgspec.json.encode(Killed(pid=victim.pid, used_bytes=used)).decode() + "\n")
            sys.stdout.flush()
            _kill(victim)
            sys.stdin.readline()
            return 0
        time.sleep(0.001)
    return 1


def _oom_score(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/oom_score").read_text())
    except (OSError, ValueError):
        return -1


def _kill(victim: ProcessId) -> None:
    """By a descriptor, so that a pid that was given to somebody else meanwhile is not hit."""
    try:
        descriptor = os.pidfd_open(victim.pid)
    except OSError:  # an old kernel, or gone
        if victim.alive:
            os.kill(victim.pid, signal.SIGKILL)
        return
    if victim.alive:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)


def _read(text: str) -> ProcessId:
    pid, _, start_ticks = text.partition(":")
    return ProcessId(int(pid), int(start_ticks))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), [_read(one) for one in sys.argv[3:]]))
