"""A night in Markdown, for a job's page: what it came to and why, what did not gate, what got worse, then the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from servedrill.ci.baseline import Compared
from servedrill.ci.gate import Budget, Outcome
from servedrill.ci.night import Night
from servedrill.judging.quarantine import quarantined
from servedrill.judging.words import count, share
from servedrill.reporting.markdown import code, plain, summary
from servedrill.reporting.shown import shown
from servedrill.runs.stored import StoredRun

_SIGNS = {"green": "✅", "red": "❌", "not judged": "⚠️", "wrong usage": "🛠️"}
_REASONS_MAX = 20


def night_summary(
    night: Night,
    outcome: Outcome,
    run: StoredRun | None,
    *,
    budgets: Sequence[Budget] = (),
    compared: Sequence[Compared] = (),
    notes: Sequence[str] = (),
    page: Path | None = None,
) -> str:
    """All of it; ``notes`` are lines of what could not be done."""
    lines = [f"# {_SIGNS[outcome.word]} servedrill ci: {outcome.word}", ""]
    for reason in outcome.reasons[:_REASONS_MAX]:
        name = f"**{plain(reason.test.name)}**: " if reason.test else ""
        lines.append(f"- {name}{plain(reason.text)}")
    if len(outcome.reasons) > _REASONS_MAX:
        lines.append(f"- … and {len(outcome.reasons) - _REASONS_MAX} more")
    if not outcome.reasons:
        proven = sum(test.word == "passed" for test in night.tests)
        lines.append(f"{count(proven, 'drill')} held.")
    lines += _again(night)
    if night.asked is not None and run is not None:
        held = quarantined([drill.verdict for drill in run.drills], night.asked.quarantine)
        lines += ["", *(f"- {plain(line)}" for line in held)] if held else []
    lines += _budgets(budgets)
    lines += _compared(compared)
    lines += ["", *(f"- {plain(note)}" for note in notes)] if notes else []
    if page is not None:
        lines += ["", f"The report is {code(page)}."]
    text = shown("\n".join(lines) + "\n")
    return text + (f"\n{summary(run)}" if run is not None and run.drills else "")


def _again(night: Night) -> list[str]:
    if not night.again:
        return []
    lines = ["", "Tried twice, as the first time nobody could say. A drill that fails gets no other try.", ""]
    for one in night.again:
        first = plain(one.before.text or one.before.word, 240)
        lines.append(f"- {plain(one.after.name)}: {one.before.word}, then **{one.after.word}**. At first: {first}")
    return lines


def _budgets(budgets: Sequence[Budget]) -> list[str]:
    if not budgets:
        return []
    lines = ["", "| error budget | left | by |", "|---|---|---|"]
    for one in budgets:
        left = "unknown" if one.left is None else share(one.left)
        lines.append(f"| {plain(one.slo)} | {left} | {plain(one.of)} |")
    return lines


def _compared(compared: Sequence[Compared]) -> list[str]:
    lines: list[str] = []
    for one in compared:
        drills = ", ".join(plain(drill.drill) for drill in one.drills)
        lines += ["", f"Against {code(one.before)} ({drills}):", ""]
        lines += [f"- {plain(line)}" for line in one.lines]
    return lines
