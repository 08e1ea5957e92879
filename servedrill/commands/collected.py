"""Drills as pytest would collect them in this folder, and the stack that it would drill."""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from servedrill.errors import UsageError
from servedrill.session.checkup import Asked

_FOLDER = "drills"
_SHIPPED = ("--pyargs", "servedrill.drills")


class _Collected:
    """A pytest plugin that keeps what was collected."""

    def __init__(self) -> None:
        self.items: list[pytest.Function] = []
        self.stack: str | None = None
        self.slo: str | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All that is a test function which asks for a drill."""
        self.items = [
            item for item in session.items if isinstance(item, pytest.Function) and "drill" in item.fixturenames
        ]
        plugin = session.config.pluginmanager.get_plugin("servedrill")
        if plugin is not None:
            self.stack, self.slo = plugin.files_asked(session.config)


class Collected(NamedTuple):
    """Drills, and the files that pytest's ini file or the environment names."""

    drills: list[Asked]
    stack: str | None
    slo: str | None


def collected(paths: Sequence[str]) -> Collected:
    """What pytest would run here.

    Without ``paths``: those of the folder ``drills`` where there is one, else those that come with servedrill. Raises
    `UsageError` where pytest can collect nothing.
    """
    asked = list(paths) or ([_FOLDER] if list(Path(_FOLDER).glob("test_*.py")) else list(_SHIPPED))
    found, said = _Collected(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *asked], plugins=[found])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        lines = [line for line in said.getvalue().splitlines() if line.strip()]
        told = [line for start in ("E  ", "ERROR") for line in lines if line.startswith(start)] or lines[-1:]
        why = told[0].removeprefix("E").strip() if told else f"exit status {int(status)}"
        hint = f"`pytest --collect-only {' '.join(asked)}` says more"
        raise UsageError(f"pytest cannot collect them: {why}", where=" ".join(asked), hint=hint)
    if not found.items:
        expected = "tests that have `drill` among their arguments"
        raise UsageError("no drills", where=" ".join(asked), expected=expected)
    return Collected([_asked(item) for item in found.items], found.stack, found.slo)


def _asked(item: pytest.Function) -> Asked:
    """The function is called as pytest would, but for fixtures other than the drill, which are not made here."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    others = set(inspect.signature(item.function).parameters) - {"drill", *parameters}

    def function(drill: object) -> None:
        if others:
            raise UsageError(f"it needs {', '.join(sorted(others))}, known when it runs", where=item.name)
        try:
            item.function(drill=drill, **parameters)
        except pytest.skip.Exception as skipped:
            raise UsageError(f"it skips itself: {skipped}", where=item.name) from None

    lines = (inspect.getdoc(item.function) or item.name).split("\n\n")[0]
    return Asked(
        name=item.name.removeprefix("test_"),
        nodeid=item.nodeid,
        hypothesis=" ".join(lines.split()),
        function=function,
        needs=_named(item, "drill_needs"),
        uses=_named(item, "drill_uses"),
    )


def _named(item: pytest.Function, marker: str) -> list[str]:
    return [str(name) for mark in item.iter_markers(marker) for name in mark.args]
