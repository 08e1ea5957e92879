"""Programs that end with whoever starts them, from their first instruction on.

Before the command stands this very file, run as a program of its own, which takes 10 ms of a core: it asks the kernel
for SIGKILL when its parent ends (prctl(2), kept by exec), looks whether the parent is still there, joins a memory
cgroup, and becomes the command. Asked for by the command itself it would come 0.3 s late, when its imports are done.

    python -I -S launch.py PARENT_PID GROUP COMMAND ...

The parent is the thread that starts it: a thread that ends takes with it what it has started. Where a filter of system
calls refuses prctl, the program starts all the same, and what its starter has put on record is what ends it.
"""

from __future__ import annotations

import os
import sys

_SET_PDEATHSIG, _SIGKILL = 1, 9
_CANNOT_START = 127
"""As a shell says it."""


def tied(command: list[str], *, memory_group: str = "") -> list[str]:
    """The command that starts ``command`` from this process, to end with the thread that does; the pid stays.

    ``memory_group``: directory of a cgroup that it is in from the start. Exit status 127, and a line on its standard
    error, for a command that cannot be started.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), memory_group, *command]


def main(parent: int, memory_group: str, command: list[str]) -> int:
    """Become the command; returns only where that cannot be."""
    from ctypes import CDLL

    CDLL(None).prctl(_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the request took effect
        return _CANNOT_START
    try:
        if memory_group:
            with open(f"{memory_group}/cgroup.procs", "w") as processes:  # noqa: PTH123  # pathlib takes longer
                processes.write(str(os.getpid()))
        os.execvp(command[0], command)  # noqa: S606  # no shell is wanted
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error}\n")
    return _CANNOT_START


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
