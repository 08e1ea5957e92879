"""Drills in the workers of pytest-xdist: one run for all of them.

The controller chooses seed and folder and tells its workers; a worker writes its drills there, one at a time among all
workers, and says in its reports which tests were drills and what became of them; the controller alone draws the table
and gives the exit status.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from servedrill.errors import UsageError
from servedrill.plugin.asked import asked, seed_asked
from servedrill.runs.layout import RUNS

_KEY = pytest.StashKey["SharedRun"]()
_INPUT = "servedrill"
CRASHED = "???"
"""When it was, as pytest-xdist has it, that a worker was killed."""


class SharedRun(NamedTuple):
    """What controller and workers agree on."""

    seed: int
    folder: str
    """Its name below the folder of runs."""


def shared_run(config: pytest.Config) -> SharedRun | None:
    """Of a worker, or of a controller that has told its workers; None where one process does everything."""
    told = getattr(config, "workerinput", {}).get(_INPUT)
    return SharedRun(*told) if told else config.stash.get(_KEY, None)


def run_folder(config: pytest.Config, shared: SharedRun) -> Path:
    """Where the run is, or will be. Raises `UsageError` where nobody can say."""
    return Path(asked(config, "runs") or RUNS).absolute() / shared.folder


def is_worker(config: pytest.Config) -> bool:
    """Whether another process draws the table and gives the exit status."""
    return hasattr(config, "workerinput")


def tell_worker(node: Any) -> None:
    """Give a worker that is about to start the same run as the others; where what was asked for cannot be used, a
    worker says so at its first drill, if there is any.
    """
    config = node.config
    if _KEY not in config.stash:
        try:
            seed, runs = seed_asked(config), asked(config, "runs") or RUNS
        except UsageError:
            return
        if seed is None:
            seed = secrets.randbelow(10**9)
        config.stash[_KEY] = SharedRun(seed=seed, folder=_free_name(Path(runs).absolute(), seed))
    node.workerinput[_INPUT] = tuple(config.stash[_KEY])


class Listener:
    """In a controller, which runs no drill: loads what the controller does about drills when one is reported."""

    NAME = "servedrill-listener"

    def __init__(self, config: pytest.Config, drills: Callable[[], Any]) -> None:
        self._config, self._drills = config, drills
        self._heard = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A plugin that is registered now is not told of this very report."""
        if not self._heard and (getattr(report, "drill_ran", False) or self._killed(report)):
            self._heard = True
            self._drills().heard(report)

    def _killed(self, report: pytest.TestReport) -> bool:
        """Whether a worker was killed that had begun a run, and had not told of any drill yet."""
        shared = shared_run(self._config)
        if shared is None or str(report.when) != CRASHED:
            return False
        with contextlib.suppress(UsageError):
            return run_folder(self._config, shared).is_dir()
        return False


def _free_name(root: Path, seed: int) -> str:
    name = wanted = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{seed}"
    number = 1
    while (root / name).exists():
        number += 1
        name = f"{wanted}-{number}"
    return name
