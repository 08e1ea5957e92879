"""The verdict in a drill's folder: read back, or made from the history beside it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from servedrill.checkers.finding import Answer, Finding
from servedrill.errors import UsageError
from servedrill.history.events import ObjectivesGiven
from servedrill.history.history import History
from servedrill.judging.verdict import Verdict, judge
from servedrill.runs.layout import HISTORY, VERDICT, VERDICTS
from servedrill.runs.written import read_written, write_written


def judge_folder(folder: Path, *objectives: ObjectivesGiven) -> Verdict:
    """Judge the history in a drill's folder, by other objectives than it was given if there are any, and write the
    verdict beside it.

    Raises `UsageError` for a folder without a drill's history, and where the verdict cannot be written.
    """
    verdict = judge(History.read(folder / HISTORY, *objectives))
    write_written(folder / VERDICT, verdict)
    return verdict


def read_verdict(folder: Path, *, judging: bool = True) -> Verdict:
    """The verdict of a drill's folder; made from its history where there is none, if ``judging``.

    Raises `UsageError` for a verdict that cannot be read.
    """
    path = folder / VERDICT
    if path.is_file():
        try:
            hint = f"`servedrill judge {folder}` writes it again"
            return read_written(path, Verdict, expected="a verdict of servedrill", hint=hint)
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if not judging:
        return unjudged(folder, "it was not judged")
    try:
        return verdict_of_history(folder)
    except UsageError as error:
        return unjudged(folder, str(error))


def verdict_of_history(folder: Path) -> Verdict:
    """What the history in a drill's folder comes to now, which is not written down. Raises `UsageError` where it
    cannot be read."""
    try:
        return judge(History.read(folder / HISTORY))
    except OSError as error:
        raise UsageError(f"cannot be read: {error}", where=str(folder / HISTORY)) from error


def read_verdicts(folder: Path) -> list[Verdict]:
    """What a run's folder has of its drills so far; none where it has none yet."""
    with contextlib.suppress(OSError, UsageError):
        return read_written(folder / VERDICTS, list[Verdict], expected="verdicts", hint="")
    return []


def judge_what_is_left(run: Path) -> None:
    """Drills of a run whose process was killed have a history and no verdict: they get one, and the run's list has it.

    Raises `UsageError` where it cannot be written.
    """
    left = [path.parent for path in sorted(run.glob(f"*/{HISTORY}")) if not (path.parent / VERDICT).exists()]
    if not left:
        return
    verdicts = read_verdicts(run)
    for folder in left:
        with contextlib.suppress(UsageError):  # it was killed before its first line
            verdicts.append(judge_folder(folder))
    write_written(run / VERDICTS, verdicts)


def unjudged(folder: Path, why: str) -> Verdict:
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
