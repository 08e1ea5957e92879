"""What people read of a day afterwards: a retro in Markdown to edit and to keep, and a page; both from the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from servedrill.checkers.finding import Answer
from servedrill.errors import UsageError
from servedrill.files.whole import write_whole
from servedrill.gameday import record as r
from servedrill.gameday.told import told
from servedrill.gameday.verdict import DayVerdict, day_verdict
from servedrill.reporting.markdown import SIGNS, plain
from servedrill.reporting.page import still
from servedrill.reporting.shown import shown

MARKDOWN, PAGE = "gameday.md", "gameday.html"
QUESTIONS = (
    "What surprised us?",
    "Who or what told us first, and what should have?",
    "Was the runbook right?",
    "What would users have said?",
    "What do we drill next time?",
)


class StepRow(msgspec.Struct, kw_only=True):
    """One step as it went; instants are UTC, in words, and empty for what did not happen."""

    step: str
    title: str
    expected: str = ""
    answer: Answer | None = None
    said: str = ""
    began: str = ""
    injected: str = ""
    proven: str = ""
    detected: str = ""
    """By whom, and how long after the fault was in place."""
    mitigated: str = ""
    healed: str = ""
    steady: str = ""
    """How long after the heal, or that it was not."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, and when."""

    at: str
    said: str
    kind: str


class Retro(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that both show."""

    title: str
    stack: str
    plan: str
    began: str
    people: dict[str, str]
    authorized: str
    verdict: DayVerdict
    steps: list[StepRow]
    lines: list[Line]
    actions: list[r.Action]
    folder: str


def retro(folder: Path) -> Retro:
    """Of the day in a run's folder. Raises `UsageError` where there is none."""
    record = r.read_record(folder)
    begun = next((one for one in record if isinstance(one, r.Begun)), None)
    if begun is None:
        raise UsageError("no day began", where=str(folder), expected="a record with a beginning")
    people: dict[str, str] = {}
    for one in record:
        people |= one.people if isinstance(one, r.Begun) else {}
    return Retro(
        title=begun.title,
        stack=begun.stack,
        plan=begun.plan,
        began=_instant(begun.at_s, date=True),
        people=people | ({"by": begun.by} if begun.by else {}),
        authorized=begun.authorized,
        verdict=day_verdict(record),
        steps=_steps(record),
        lines=[
            Line(at=_instant(one.at_s), said=said, kind=type(one).__name__.lower())
            for one in record
            if (said := told(one))
        ],
        actions=[one for one in record if isinstance(one, r.Action)],
        folder=folder.name,
    )


def write_retro(folder: Path) -> list[Path]:
    """Both files beside the record; where they are. Raises `UsageError` where they cannot be written."""
    found = retro(folder)
    written = []
    for name, text in ((MARKDOWN, markdown(found)), (PAGE, still("gameday.html", day=found, questions=QUESTIONS))):
        write_whole(folder / name, text.encode(errors="replace"))
        written.append(folder / name)
    return written


def markdown(day: Retro) -> str:
    """To be edited: what is known stands there, what only people know is asked."""
    lines = [f"# {plain(day.title)}: {SIGNS[day.verdict.answer]}", ""]
    lines += [f"{day.began}, stack {plain(day.stack)}, plan `{day.plan}`, run `{plain(day.folder)}`.", ""]
    lines += [f"- {plain(role)}: {plain(name)}" for role, name in day.people.items()]
    lines += [f"- Authorized: {plain(day.authorized)}"] if day.authorized else []
    if day.verdict.because:
        lines += ["", "## Why it is no PASS", "", *(f"- {plain(one)}" for one in day.verdict.because)]
    if day.verdict.abort_s is not None:
        lines += ["", f"It was stopped; everything was healed {day.verdict.abort_s:.2f} s later."]
    lines += ["", "## Steps", "", "| step | expected | seen | injected | detected | mitigated | healed | steady |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for row in day.steps:
        seen = f"{SIGNS[row.answer]} {row.said}" if row.answer else "not done"
        cells = (f"{row.step}. {row.title}", row.expected, seen, row.injected, row.detected, row.mitigated, row.healed)
        lines.append(f"| {' | '.join(plain(cell) for cell in (*cells, row.steady))} |")
    lines += ["", "## Actions", ""]
    lines += [f"- [ ] {plain(one.text)} ({plain(one.owner)}, by {one.due})" for one in day.actions] or [
        "- [ ] None was written down. What will be different next time? Who does it, and by when?"
    ]
    lines += ["", "## Retro", "", *(f"- {question}\n" for question in QUESTIONS)]
    lines += ["## What happened", "", *(f"- {line.at} {plain(line.said)}" for line in day.lines), ""]
    return shown("\n".join(lines))


def _steps(record: Sequence[r.AnyEntry]) -> list[StepRow]:
    rows: dict[str, StepRow] = {}
    broken: tuple[StepRow, float] | None = None
    for one in record:
        match one:
            case r.StepBegun():
                at = _instant(one.at_s)
                rows[one.step] = StepRow(step=one.step, title=one.title, expected=one.expected, began=at)
            case r.StepEnded() if one.step in rows:
                rows[one.step].answer, rows[one.step].said = one.answer, one.said
            case r.FaultSeen() if one.step in rows:
                row = rows[one.step]
                at = _instant(one.at_s) if one.proven else f"NOT {one.what}"
                setattr(row, one.what, getattr(row, one.what) or at)
                broken = (row, one.at_s) if one.what == "injected" else broken
            case r.Noted() if one.what != "note" and broken is not None:
                row, since_s = broken
                said = f"{one.by}, {one.at_s - since_s:.1f} s"
                setattr(row, one.what, getattr(row, one.what) or said)
            case r.SteadySeen() if one.where.startswith("after step ") and one.where.split()[-1] in rows:
                rows[one.where.split()[-1]].steady = f"{one.waited_s:.1f} s" if one.met else "NOT"
    return list(rows.values())


def _instant(at_s: float, *, date: bool = False) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC" if date else "%H:%M:%S")
