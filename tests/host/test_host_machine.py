"""What is asked of a machine before anything is started, and the one line that says what is missing."""

from __future__ import annotations

import errno
import platform
import resource
import socket
import subprocess
import sys

import pytest

from servedrill.errors import StackError, UsageError
from servedrill.host.machine import FILES_MIN, require_machine, told_in_one_line

_LIMITED = """
import resource, sys
from servedrill.errors import StackError, UsageError
from servedrill.host.machine import require_machine
resource.setrlimit(resource.RLIMIT_NOFILE, (256, int(sys.argv[1])))
def refused(*_):
    raise ValueError("not allowed to raise maximum limit")
if sys.argv[2] == "refused":
    resource.setrlimit = refused
try:
    require_machine()
except UsageError as error:
    sys.exit(str(error))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limited(hard: int, how: str = "") -> subprocess.CompletedProcess[str]:
    """A process that may open 256 files, and as many as ``hard`` if it asks."""
    command = [sys.executable, "-c", _LIMITED, str(hard), how]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_this_machine_will_do() -> None:
    """The tests run on one that can run drills."""
    require_machine()


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < FILES_MIN, reason="nothing to raise it to")
def test_open_files_are_raised_where_that_is_allowed() -> None:
    """A soft limit is a matter of asking."""
    assert limited(FILES_MIN).stdout.split() == [str(FILES_MIN)] * 2


def test_too_few_open_files_are_one_line() -> None:
    """They would look like connections that the stack lost."""
    told = limited(256, "refused")
    assert told.returncode == 1
    assert told.stderr.startswith("ulimit -n: a process may open 256 files only; expected 4096")
    assert len(told.stderr.splitlines()) == 1


def test_a_machine_without_loopback_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not that there are no free ports."""

    def unreachable(*_: object, **__: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(socket, "create_server", unreachable)
    with pytest.raises(UsageError, match=r"127\.0\.0\.1: cannot be used: Cannot assign requested address; .*lo up"):
        require_machine()


@pytest.mark.parametrize("release", ["5.3.0", "5.10.0-1-amd64", "6.18.44"])
def test_a_kernel_that_will_do(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    """5.10 is newer than 5.3."""
    monkeypatch.setattr(platform, "release", lambda: release)
    require_machine()


@pytest.mark.parametrize("release", ["5.2.0-1", "4.18.0-553.el8"])
def test_an_old_kernel_is_one_line(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    """What it lacks would show as engines that never come back."""
    monkeypatch.setattr(platform, "release", lambda: release)
    with pytest.raises(UsageError, match=r"kernel is Linux .*; expected 5\.3 or newer"):
        require_machine()


def test_another_system_is_told_about_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS and Windows run Linux in a container."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(
        UsageError, match=r"Darwin is not Linux; expected Linux; hint: docker build .* docker run --init"
    ):
        require_machine()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "x"), "No space left on device; hint: `df -h`"),
        (BlockingIOError(errno.EAGAIN, "x"), "Resource temporarily unavailable; hint: `ulimit -u`"),
        (RuntimeError("can't start new thread"), "Resource temporarily unavailable; hint: `ulimit -u`"),
        (OSError(errno.EMFILE, "x"), "Too many open files; hint: `ulimit -n`"),
    ],
)
def test_what_a_machine_refuses_is_its_own_reason(error: OSError | RuntimeError, says: str) -> None:
    """The kernel's words, and what to look at."""
    with pytest.raises(StackError, match="this machine: a run could not be started: ") as told:
        with told_in_one_line("a run could not be started"):
            raise error
    assert says in str(told.value)


def test_mistakes_are_not_the_machines() -> None:
    """They keep their traceback."""
    with pytest.raises(RuntimeError, match="started before"), told_in_one_line("x"):
        raise RuntimeError("this load was started before")
