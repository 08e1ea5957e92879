"""The end of a process of the stack is seen, whatever the kernel offers for it."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from servedrill.refstack.control.nursery import Nursery


@pytest.mark.parametrize("number", [0, errno.ENOSYS, errno.EPERM], ids=["as-it-is", "old-kernel", "filtered"])
def test_an_end_is_seen_without_descriptors_of_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    """Without pidfd_open(2) an engine that was killed came back to nobody's knowledge."""
    pidfd_open = os.pidfd_open

    def refused(pid: int) -> int:
        if number:
            raise OSError(number, os.strerror(number))
        return pidfd_open(pid)

    monkeypatch.setattr(os, "pidfd_open", refused)
    child = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 7"], {})
    nursery = Nursery.__new__(Nursery)  # only its waiting: it would fork this process
    assert asyncio.run(asyncio.wait_for(nursery.end_of(child), 30)) == 7
