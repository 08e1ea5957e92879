"""A run's folder, read back: what was asked for, and each drill with its verdict, whether or not the run got to its
end."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from servedrill.checkers.finding import Answer, Finding
from servedrill.errors import UsageError
from servedrill.history.history import History
from servedrill.history.journal import read_events
from servedrill.judging.verdict import FILE, HISTORY, Verdict, judge

RUN_FILE = "run.json"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked for: ``options`` of run.json."""

    stack_file: str | None = None
    control: bool = False
    defects: list[str] = []
    runs: str = ""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """run.json. Runs of earlier versions lack some of it."""

    began: str = ""
    """UTC, ISO 8601."""
    ended: str = ""
    """Empty for a run that was killed."""
    seed: int = 0
    options: Asked = Asked()
    versions: dict[str, str] = {}
    system: str = ""
    replay: dict[str, str] = {}
    """Drill -> the command that runs it again."""


class StoredDrill(msgspec.Struct, frozen=True, kw_only=True):
    """One drill's folder."""

    name: str
    folder: Path
    verdict: Verdict
    replay: str = ""

    @property
    def history(self) -> Path:
        return self.folder / HISTORY

    def stack(self) -> dict[str, Any]:
        """The stack as it described itself; empty where it did not."""
        try:
            found = msgspec.json.decode((self.folder / "stack.json").read_bytes())
        except (OSError, msgspec.DecodeError):
            return {}
        return found if isinstance(found, dict) else {}


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run's folder."""

    folder: Path
    about: About
    drills: list[StoredDrill]

    @property
    def answers(self) -> list[Answer]:
        return [drill.verdict.answer for drill in self.drills]

    @property
    def seconds(self) -> float | None:
        """How long it took; None for a run that was killed."""
        try:
            return (datetime.fromisoformat(self.about.ended) - datetime.fromisoformat(self.about.began)).total_seconds()
        except ValueError:
            return None


def read_run(folder: Path, *, judging: bool = True) -> StoredRun:
    """A run as its folder has it. Raises `UsageError` for a folder that is none.

    A drill that was killed before it was judged is judged now, by what it had written until then; without ``judging``
    it is INCONCLUSIVE.
    """
    about = read_about(folder)
    names = {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{HISTORY}"))}
    order = [name for name in about.replay if name in names]
    order += [name for name in names if name not in order]
    drills = [
        StoredDrill(
            name=name,
            folder=names[name],
            verdict=read_verdict(names[name], judging=judging),
            replay=about.replay.get(name, ""),
        )
        for name in order
    ]
    return StoredRun(folder=folder, about=about, drills=drills)


def read_about(folder: Path) -> About:
    """run.json. Raises `UsageError`."""
    path = folder / RUN_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=About)
    except OSError as error:
        raise UsageError(
            f"no run in it: {error.strerror}",
            where=str(path),
            expected="a run's folder, as `pytest drills` writes it",
            hint="`servedrill runs` lists them",
        ) from error
    except msgspec.DecodeError as error:
        raise UsageError(f"cannot be read: {error}", where=str(path), expected="a run.json of servedrill") from error


def read_verdict(folder: Path, *, judging: bool = True) -> Verdict:
    """The verdict of a drill's folder; made from its history where there is none, if ``judging``."""
    path = folder / FILE
    if path.is_file():
        try:
            return msgspec.json.decode(path.read_bytes(), type=Verdict)
        except msgspec.DecodeError as error:
            raise UsageError(
                f"cannot be read: {error}", where=str(path), hint=f"`servedrill judge {folder}` writes it again"
            ) from error
    if not judging:
        return _unjudged(folder, "it was not judged")
    try:
        return judge(History(read_events(folder / HISTORY, compact=True)))
    except UsageError as error:
        return _unjudged(folder, str(error))


def _unjudged(folder: Path, why: str) -> Verdict:
    """Of a drill without a verdict."""
    claim = "The drill ran to its end."
    finding = Finding(
        checker="RanToItsEnd", answer=Answer.INCONCLUSIVE, claim=claim, observed=f"nothing to judge: {why}"
    )
    return Verdict(
        drill=folder.name,
        answer=Answer.INCONCLUSIVE,
        hypothesis="",
        seed=0,
        control=False,
        defects=[],
        findings=[finding],
    )
