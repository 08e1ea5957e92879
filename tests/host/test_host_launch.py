"""What starts tied to its parent: it is the command, from the start, and it does not outlive whoever started it."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from servedrill.host import launch
from servedrill.host.clock import wait_for
from servedrill.host.launch import tied
from servedrill.host.processes import identify

PARENT = """
import subprocess, sys
from servedrill.host.launch import tied
child = subprocess.Popen(tied(["sleep", "120"]))
print(child.pid, flush=True)
sys.stdin.read()
"""
REFUSING = """
import ctypes, runpy, sys
class Refusing:
    def prctl(self, *_):
        return -1
ctypes.CDLL = lambda *_: Refusing()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def ran(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)  # type: ignore[call-overload, no-any-return]


def program_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_it_is_the_command_itself() -> None:
    """Arguments, environment, working directory, standard streams and exit status are the command's own."""
    script = "import os, sys; print(sys.argv[1:], os.environ['GREETING'], sys.stdin.read()); sys.exit(7)"
    done = ran(
        tied([sys.executable, "-c", script, "-x", "", "a b"]), input="said", env={**os.environ, "GREETING": "hi"}
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "['-x', '', 'a b'] hi said\n", "")


def test_the_program_is_looked_for_on_the_path_of_its_own_environment(tmp_path: Path) -> None:
    """As without it."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    assert ran(tied(["program"]), env={"PATH": f"{tmp_path}:/usr/bin:/bin"}).stdout == "found\n"


def test_a_command_that_cannot_be_started_says_so() -> None:
    """One line and 127."""
    done = ran(tied(["/no/such/program"]))
    assert done.returncode == 127
    assert done.stderr.splitlines() == ["/no/such/program cannot be started: [Errno 2] No such file or directory"]


def test_the_kernel_ends_it_with_its_parent() -> None:
    """kill -9 of the parent is enough, for a command that knows nothing of it."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = identify(int(parent.stdout.readline()))
    assert child is not None
    wait_for(lambda: program_of(child.pid) == "sleep", what="the command", within_s=30)
    parent.kill()
    parent.communicate()
    wait_for(lambda: not child.alive, what="the child to end", within_s=30)


def test_the_parent_is_the_thread() -> None:
    """Who starts something from a thread has to let that thread live."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        started.append(subprocess.Popen(tied(["sleep", "120"])))
        wait_for(lambda: program_of(started[0].pid) == "sleep", what="the command", within_s=30)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert started[0].wait(30) == -signal.SIGKILL


@pytest.mark.parametrize("refused", [False, True], ids=["", "prctl refused"])
def test_a_parent_that_is_gone_already_is_noticed(refused: bool, tmp_path: Path) -> None:
    """It may end before the request takes effect, or where there can be none: then the command never starts."""
    there = tmp_path / "there"
    command = tied(["touch", str(there)])
    command[4] = str(2**22 + 1)  # nobody's pid: the parent is another by now
    if refused:
        command = [sys.executable, "-c", REFUSING, *command[3:]]
    assert ran(command).returncode == 127
    assert not there.exists()


def test_without_prctl_it_starts_all_the_same() -> None:
    """In a container whose filter of system calls refuses it: the watchdog is there as well."""
    assert ran([sys.executable, "-c", REFUSING, *tied(["echo", "here"])[3:]]).stdout == "here\n"


def test_it_needs_nothing_but_its_own_file() -> None:
    """It runs before every program, on its own, and each import costs every start."""
    tree = ast.parse(Path(launch.__file__).read_text())
    imported = {name.name for one in ast.walk(tree) if isinstance(one, ast.Import) for name in one.names}
    imported |= {one.module or "" for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)}
    assert imported == {"__future__", "os", "sys", "ctypes"}
