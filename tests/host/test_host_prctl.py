"""What the kernel does to a family of processes when one of them ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from servedrill.host.clock import wait_for
from servedrill.host.processes import ProcessId, identify, read_status

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
print(child.stdout.readline().decode().strip(), flush=True)
sys.stdin.read()
"""

FAITHFUL = """
import os, time
from servedrill.host.prctl import end_with_parent
end_with_parent()
print(os.getpid(), flush=True)
time.sleep(120)
"""

TOO_LATE = """
import os
from servedrill.host.prctl import end_with_parent
parents = iter([os.getppid(), 1])
os.getppid = lambda: next(parents)
end_with_parent()
"""

ADOPTING = """
import os, sys
from servedrill.host.prctl import adopt_orphans
adopt_orphans()
first = os.fork()
if first == 0:
    if os.fork() == 0:
        os.read(0, 1)
        os._exit(0)
    os._exit(0)
os.waitpid(first, 0)
print(os.getpid(), open("/proc/self/task/%d/children" % os.getpid()).read(), flush=True)
os.read(0, 1)
"""


def started(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    )


def ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def test_a_child_ends_with_its_parent() -> None:
    """kill -9 of the parent is enough: nobody is asked to pass it on."""
    parent = started(PARENT, FAITHFUL)
    assert parent.stdout is not None
    child = identify(int(parent.stdout.readline()))
    assert child is not None
    assert child.alive
    ended(parent)
    wait_for(lambda: not child.alive, what="the child to end", within_s=30)


def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    """The parent may end between the fork and the request: it is looked for once more after it."""
    late = started(TOO_LATE)
    late.communicate(timeout=300)
    assert late.returncode == -signal.SIGKILL


def test_orphans_are_adopted() -> None:
    """A grandchild whose parent has ended is a child of whoever asked for it, not of init."""
    adopting = started(ADOPTING)
    assert adopting.stdout is not None
    mine, *adopted = map(int, adopting.stdout.readline().split())
    (orphan,) = adopted
    status = read_status(orphan)
    assert status is not None
    assert status.parent == mine
    os.kill(orphan, signal.SIGKILL)
    ended(adopting)
    wait_for(lambda: not ProcessId(orphan, status.start_ticks).alive, what="the orphan to end", within_s=30)
