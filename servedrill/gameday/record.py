"""The record of a game day: ``gameday.jsonl`` in the folder of its run, a line for everything that happened.

Any process may add a line, so a note can come from another terminal. The verdict is computed from it alone, and a day
that was killed is resumed from it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from servedrill.checkers.finding import Answer
from servedrill.errors import UsageError
from servedrill.files.regular import read_regular
from servedrill.secrecy.known import hidden_within

RECORD = "gameday.jsonl"
STOPPED = "it was stopped"
"""Of a step that the day was stopped in: it has not been done."""
State: TypeAlias = Literal["preparing", "prepared", "injecting", "injected", "reverting", "completed"]
"""Those of Google Cloud's Fault Injection Testing."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="entry", omit_defaults=True):
    """``at_s`` is seconds since 1970, UTC, set when it is written."""

    at_s: float = 0.0


class Begun(Entry, frozen=True, tag="begun"):
    """A process took the day up: for the first time, or again after one was killed."""

    title: str
    plan: str
    """The plan's hash."""
    stack: str
    by: str = ""
    people: dict[str, str] = {}
    """Role -> name."""
    authorized: str = ""
    """Who allowed it on a production stack, and how."""
    again: bool = False


class StateChanged(Entry, frozen=True, tag="state"):
    """The day is in another state."""

    state: State


class StepBegun(Entry, frozen=True, tag="step_begun"):
    """``step`` is its place in the method: ``2``, or ``2.0.1`` for the second of the first branch of step 2."""

    step: str
    title: str
    act: str
    expected: str = ""
    runbook: str = ""


class StepEnded(Entry, frozen=True, tag="step_ended"):
    """What it came to, and what later steps may use."""

    step: str
    answer: Answer
    said: str = ""
    seconds: float = 0.0
    outputs: dict[str, Any] = {}


class SceneJudged(Entry, frozen=True, tag="judged"):
    """The verdict of a drill's history: of a drill, or of what lay between two of them."""

    folder: str
    answer: Answer
    said: str


class SteadySeen(Entry, frozen=True, tag="steady"):
    """Whether the steady state was met, where, and what was seen."""

    where: str
    met: bool | None
    waited_s: float
    said: str


class FaultSeen(Entry, frozen=True, tag="fault"):
    """A fault is in place, is proven or not to have taken effect, or is healed."""

    step: str
    fault: str
    target: str
    what: Literal["injected", "proven", "healed"]
    proven: bool = True
    said: str = ""


class Noted(Entry, frozen=True, tag="note"):
    """What somebody, or an alert, said: a note, that it was detected, or that it was mitigated."""

    text: str
    by: str
    what: Literal["note", "detected", "mitigated"] = "note"


class Answered(Entry, frozen=True, tag="answer"):
    """A question and what became of it; ``automatic`` where nobody was asked."""

    step: str
    question: str
    answer: str
    role: str = ""
    by: str = ""
    automatic: bool = False


class Halted(Entry, frozen=True, tag="halted"):
    """The day was stopped: by a stop condition that was measured, or by somebody."""

    reason: str
    by: str
    measured: bool = False
    """Whether a stop condition was seen to hold, while anything was broken."""


class HaltHealed(Entry, frozen=True, tag="halt_healed"):
    """Everything that was in place is healed, and proven so."""

    seconds: float


class Action(Entry, frozen=True, tag="action"):
    """What somebody will do about it."""

    text: str
    owner: str
    due: str
    """A day, ISO 8601."""


class Ended(Entry, frozen=True, tag="ended"):
    """The day is over."""

    said: str = ""


AnyEntry: TypeAlias = (
    Begun
    | StateChanged
    | StepBegun
    | StepEnded
    | SceneJudged
    | SteadySeen
    | FaultSeen
    | Noted
    | Answered
    | Halted
    | HaltHealed
    | Action
    | Ended
)
_decoder: msgspec.json.Decoder[AnyEntry] = msgspec.json.Decoder(AnyEntry)


class Record:
    """Appends entries, each on disk when `add` returns, and tells whoever listens; what other processes add is told
    too, when `hear` looks."""

    def __init__(self, folder: Path, *, told: Callable[[AnyEntry], None] = lambda entry: None) -> None:
        """Raises `UsageError` where it cannot be written."""
        self.folder, self._told = folder, told
        try:
            self._fd = os.open(folder / RECORD, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(
                f"cannot be written: {error.strerror}", where=str(folder / RECORD), expected="the folder of a run"
            ) from error
        self._offset = os.fstat(self._fd).st_size

    def add(self, entry: AnyEntry) -> None:
        """On disk when it returns, where the disk takes it; on a full one the day goes on without."""
        entry = msgspec.structs.replace(entry, at_s=round(time.time(), 3))
        line = b"\n" + msgspec.json.encode(hidden_within(msgspec.to_builtins(entry))) + b"\n"
        try:
            os.write(self._fd, line)
            os.fsync(self._fd)
        except OSError:
            self._told(entry)

    def hear(self) -> None:
        """Tell what was added since, by whichever process."""
        try:
            with (self.folder / RECORD).open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        for entry in _entries(whole):
            self._told(entry)

    def close(self) -> None:
        """No more is written from here."""
        os.close(self._fd)


def read_record(folder: Path) -> list[AnyEntry]:
    """Every entry; one that was cut by a crash is left out. Raises `UsageError` where there is no record."""
    try:
        return list(_entries(read_regular(folder / RECORD)))
    except OSError as error:
        raise UsageError(
            f"no game day: {error.strerror}", where=str(folder / RECORD), expected="the folder of a game day's run"
        ) from error


def _entries(written: bytes) -> Iterator[AnyEntry]:
    for line in written.split(b"\n"):
        if line.strip():
            try:
                yield _decoder.decode(line)
            except msgspec.MsgspecError:
                continue
