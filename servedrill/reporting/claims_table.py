"""Claims down, stacks across: what runs on several stacks came to, as one table in Markdown that nobody edits."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from servedrill.checkers import validity
from servedrill.checkers.finding import Answer, Finding
from servedrill.judging.words import count
from servedrill.reporting.markdown import code, plain
from servedrill.reporting.shown import shown
from servedrill.runs.stored import StoredDrill, StoredRun

SIGNS = {Answer.PASS: "✅", Answer.FAIL: "❌", Answer.INCONCLUSIVE: "⚠️"}
NOT_ASKED = "–"
_OF_THE_DRILL = {name for name, kind in vars(validity).items() if getattr(kind, "__module__", "") == validity.__name__}
"""Checkers that say whether a drill can be judged, and nothing of a stack."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim came to on one stack: the worst of its windows, in each run."""

    answers: list[Answer] = []
    """One of each run in which it was judged; none: it never was."""
    declared: bool = False
    """The stack's file says that it makes no such claim."""
    seen: str = ""
    """What kept it from being proven, in the last run that came to ``answer``."""

    @property
    def answer(self) -> Answer | None:
        """The worst of all runs."""
        return min(self.answers, key=_BAD.index, default=None)

    @property
    def words(self) -> str:
        """As a table shows it: a sign, and how many runs came to it where not all did."""
        if self.answer is None:
            return NOT_ASKED
        same = self.answers.count(self.answer)
        often = f" {same} of {len(self.answers)}" if same < len(self.answers) else ""
        return f"{SIGNS[self.answer]}{often}{' declared' if self.declared else ''}"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One claim of one drill, on every stack."""

    drill: str
    checker: str
    claim: str
    cells: dict[str, Cell]
    """Stack -> what it came to there."""


_BAD = [Answer.FAIL, Answer.INCONCLUSIVE, Answer.PASS]


def claims_of(runs: Sequence[StoredRun]) -> list[Row]:
    """A row for each claim that any run judged, in the order of the drills and of their claims; runs on stacks of one
    name are one column."""
    columns: dict[str, list[StoredDrill]] = {}
    for run in runs:
        for drill in run.drills:
            columns.setdefault(drill.stack_name, []).append(drill)
    rows = []
    for name in dict.fromkeys(drill.name for run in runs for drill in run.drills):
        judged = {stack: [drill for drill in column if drill.name == name] for stack, column in columns.items()}
        everywhere = [drill for column in judged.values() for drill in column]
        claims = {finding.checker: finding.claim for drill in everywhere for finding in drill.verdict.findings}
        for checker, claim in claims.items():
            cells = {stack: _cell(checker, column) for stack, column in judged.items()}
            rows.append(Row(drill=name, checker=checker, claim=claim, cells=cells))
    return rows


def _cell(checker: str, drills: Iterable[StoredDrill]) -> Cell:
    found = []
    for drill in drills:
        mine = [finding for finding in drill.verdict.findings if finding.checker == checker]
        if mine:
            found.append(min(mine, key=lambda finding: _BAD.index(finding.answer)))
    answers = [finding.answer for finding in found]
    bad = [finding for finding in found if finding.answer is not Answer.PASS]
    worst = min(reversed(bad), key=lambda finding: _BAD.index(finding.answer), default=None)
    return Cell(answers=answers, declared=any(finding.declared for finding in bad), seen=_seen(worst) if worst else "")


def _seen(finding: Finding) -> str:
    expected = f"; expected {finding.threshold}" if finding.threshold else ""
    window = f"; window {finding.window}" if finding.window else ""
    return f"{finding.observed}{expected}{window}"


def claims_table(runs: Sequence[StoredRun]) -> str:
    """The table, what it was made of, and what was seen wherever a claim was not proven.

    Whether a drill could be judged at all is told in the last part alone.
    """
    rows = claims_of(runs)
    stacks = list(rows[0].cells) if rows else []
    lines = [f"| claim | {' | '.join(map(plain, stacks))} |", f"|---|{'---|' * len(stacks)}"]
    last = ""
    for row in rows:
        if row.checker in _OF_THE_DRILL:
            continue
        if row.drill != last:
            lines.append(f"| **{plain(row.drill)}** |{' |' * len(stacks)}")
            last = row.drill
        lines.append(f"| {plain(row.claim)} | {' | '.join(cell.words for cell in row.cells.values())} |")
    lines += ["", "✅ proven, ❌ refuted, ⚠️ nobody can say, – not asked here.", ""]
    lines += [f"- {_source(run)}" for run in runs]
    for stack in stacks:
        told = [row for row in rows if row.cells[stack].seen]
        if told:
            lines += ["", f"### {plain(stack)}: not proven", ""]
            for row in told:
                cell = row.cells[stack]
                said = f"- {cell.words} {plain(row.drill)}, {code(row.checker)}: {plain(cell.seen)}"
                lines.append(textwrap.fill(said, 118, subsequent_indent="  ", break_long_words=False))
    return shown("\n".join(lines) + "\n")


def _source(run: StoredRun) -> str:
    about = run.about
    drills = Counter(drill.stack_name for drill in run.drills)
    names = ", ".join(plain(name) for name in drills) or "no drill"
    version = about.versions.get("servedrill", "?")
    return (
        f"{names}: {count(len(run.drills), 'drill')}, {about.began[:10] or 'no date'}, seed {about.seed}, "
        f"servedrill {plain(version)}, run {code(run.folder.name)}"
    )
