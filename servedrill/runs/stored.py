"""A run's folder, read back: what was asked for, and each drill with its verdict, whether or not the run got to its
end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from servedrill.checkers.finding import Answer
from servedrill.errors import UsageError
from servedrill.history.events import DrillStarted
from servedrill.history.journal import iter_events
from servedrill.judging.verdict import Verdict
from servedrill.runs.about import About
from servedrill.runs.layout import HISTORY, RUN, STACK
from servedrill.runs.verdicts import read_verdict, unjudged, verdict_of_history
from servedrill.runs.written import read_written


class StoredDrill(msgspec.Struct, frozen=True, kw_only=True):
    """One drill's folder."""

    name: str
    folder: Path
    verdict: Verdict
    replay: str = ""

    @property
    def history(self) -> Path:
        """Its file, which may not be there."""
        return self.folder / HISTORY

    @property
    def stack_name(self) -> str:
        """What the stack is called, from the first line of the history; empty where that cannot be read."""
        with contextlib.suppress(OSError, UsageError, StopIteration):
            first = next(iter_events(self.history))
            if isinstance(first, DrillStarted):
                return first.stack
        return ""

    def stack(self) -> dict[str, Any]:
        """The stack as it described itself; empty where it did not."""
        try:
            return read_written(self.folder / STACK, dict[str, Any], expected="a mapping", hint="")
        except (OSError, UsageError):
            return {}


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run's folder."""

    folder: Path
    about: About
    drills: list[StoredDrill]

    @property
    def answers(self) -> list[Answer]:
        """One of each drill, in their order."""
        return [drill.verdict.answer for drill in self.drills]

    @property
    def seconds(self) -> float | None:
        """How long it took; None for a run that was killed."""
        try:
            return (datetime.fromisoformat(self.about.ended) - datetime.fromisoformat(self.about.began)).total_seconds()
        except ValueError:
            return None


def read_run(
    folder: Path, *, judging: bool = True, on_damage: Callable[[UsageError, bool], None] | None = None
) -> StoredRun:
    """A run as its folder has it. Raises `UsageError` for a folder that is none, and for damage.

    A drill that was killed before it was judged is judged now, by what it had written until then; without ``judging``
    it is INCONCLUSIVE. With ``on_damage``, which is told of it and of whether anything is lost by it, a run.json that
    cannot be read is done without where there are histories, and a verdict that cannot be read is made again.
    """
    names = {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{HISTORY}"))}
    try:
        about = read_about(folder)
    except UsageError as error:
        if on_damage is None or not names:
            raise
        on_damage(error, True)
        about = About()
    order = [name for name in about.replay if name in names]
    order += [name for name in names if name not in order]
    drills = [
        StoredDrill(
            name=name,
            folder=names[name],
            verdict=_verdict(names[name], judging=judging, on_damage=on_damage),
            replay=about.replay.get(name, ""),
        )
        for name in order
    ]
    return StoredRun(folder=folder, about=about, drills=drills)


def _verdict(folder: Path, *, judging: bool, on_damage: Callable[[UsageError, bool], None] | None) -> Verdict:
    try:
        return read_verdict(folder, judging=judging)
    except UsageError as error:
        if on_damage is None:
            raise
        damage = error
    try:
        made = verdict_of_history(folder)
    except UsageError as error:
        on_damage(damage, True)
        return unjudged(folder, str(error))
    on_damage(damage, False)
    return made


def read_about(folder: Path) -> About:
    """run.json. Raises `UsageError`."""
    path = folder / RUN
    try:
        return read_written(
            path,
            About,
            expected=f"a {RUN} of servedrill",
            hint=f"`servedrill judge {folder}` does without it; or move the folder away",
        )
    except OSError as error:
        raise UsageError(
            f"no run in it: {error.strerror}",
            where=str(path),
            expected="a run's folder, as `pytest drills` writes it",
            hint="`servedrill runs` lists them",
        ) from error
