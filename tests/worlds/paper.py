"""A stack of paper: nobody is there, so that a session of drills takes no longer than what the session itself does.

As a pytest plugin (``-p tests.worlds.paper``) it brings up that stack for every drill, and has the fixture ``drill``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import httpcore  # noqa: F401  # httpx loads it late: in a run, after which pytester would forget it, but httpx not
import pytest

from servedrill.errors import StackError
from servedrill.fixtures.drill import drill as drill
from servedrill.history.dialect import Spoken
from servedrill.plugin import drills_of
from servedrill.stacks.file import StackFile
from servedrill.stacks.protocols import Entry, Promises, Replica


class PaperStack:
    """One engine, which does not answer."""

    environment, shared, promises, spoken = "local", True, Promises(model="m"), Spoken()

    def __init__(self, name: str) -> None:
        self.name = name

    def replicas(self) -> list[Replica]:
        return [Replica(name="engine-0", role="engine", url="http://127.0.0.1:9")]

    def entry(self) -> Entry:
        return Entry(base_url="http://127.0.0.1:9")


@contextlib.contextmanager
def paper_up(file: StackFile, folder: Path, **_: Any) -> Iterator[PaperStack]:
    """In place of `servedrill.stacks.lifecycle.stack_up`; the stack of a drill whose name begins with ``torn`` does not
    come up, for one with ``crowded`` the machine starts no process, and ``killed`` is the end of this one.
    """
    if folder.name.startswith("torn"):
        raise StackError("the paper is torn", where="paper", hint="see the bin")
    if folder.name.startswith("crowded"):
        raise BlockingIOError(errno.EAGAIN, "fork")
    if folder.name.startswith("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    yield PaperStack(file.name)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before the options are looked at, which makes the session."""
    drills_of(config).bring_up = paper_up


def run_drills(
    pytester: pytest.Pytester, *arguments: str, plugins: Sequence[ModuleType] = (), runs: str | None = "runs"
) -> pytest.RunResult:
    """pytest in this process, in pytester's folder, without any other plugin; ``runs``: where these are written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        patch.setenv("NO_COLOR", "1")
        patch.delenv("GITHUB_STEP_SUMMARY", raising=False)
        return pytester.runpytest_inprocess(
            *("-p", "servedrill.plugin", "-p", "no:cacheprovider"),
            *(("--drill-runs", runs) if runs else ()),
            *arguments,
            plugins=[sys.modules[__name__], *plugins],
            no_reraise_ctrlc=True,
        )
