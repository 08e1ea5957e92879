"""Stretches in which nobody is reached, and what a machine allows."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable

import pytest

from servedrill.host.limits import limits
from servedrill.host.untouched import Touched, touching, untouched


def connects() -> None:
    socket.create_connection(("127.0.0.1", 9), 1)


@pytest.mark.parametrize(
    "reach",
    [
        pytest.param(connects, id="connects"),
        pytest.param(lambda: os.kill(os.getpid(), signal.SIGCONT), id="kills"),
        pytest.param(lambda: subprocess.run(["true"], check=True), id="starts"),
    ],
)
def test_nobody_is_reached(reach: Callable[[], object]) -> None:
    """Whoever does it, and by whatever library."""
    with untouched(), pytest.raises(Touched):
        reach()


def test_what_only_looks_may_and_so_may_others() -> None:
    """Inside of it where that is said, in other threads all the time, and afterwards."""
    refused: list[Exception] = []

    def elsewhere() -> None:
        try:
            connects()
        except OSError as error:
            refused.append(error)

    with untouched():
        with touching(), pytest.raises(ConnectionRefusedError):
            connects()
        with pytest.raises(Touched):
            connects()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    with pytest.raises(ConnectionRefusedError):
        connects()
    assert isinstance(refused[0], ConnectionRefusedError)


def test_a_machine_is_told_in_lines_and_is_as_it_was() -> None:
    """What it does not allow comes with one thing to do, but for what costs no claim."""
    before = os.sched_getscheduler(0)
    told = {one.what: one for one in limits(memory=True)}
    assert os.sched_getscheduler(0) == before
    assert told["cores"].found == str(len(os.sched_getaffinity(0)))
    assert all(one.do or one.found for one in told.values())
    assert len(limits(memory=False)) == len(told) - 1


def test_one_core_is_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    monkeypatch.setattr(os, "sched_setscheduler", _refuses)
    cores, first = limits(memory=False)
    assert "2 cores" in cores.do and "prlimit" in first.do


def _refuses(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")
