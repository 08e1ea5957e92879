"""Runs and comparisons as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from servedrill.judging.words import ORDER, duration, seconds
from servedrill.reporting.console import STYLES
from servedrill.reporting.tables import print_table
from servedrill.runs.compare import DrillComparison, said, said_change
from servedrill.runs.index import DrillRow, RunRow

_CHANGES = {"worse": "bold red", "better": "bold green", "no difference shown": "dim", "not comparable": "yellow"}


def print_runs(console: Console, rows: Sequence[RunRow]) -> None:
    """One line a run, the latest first."""
    table = Table(title="runs", title_justify="left")
    table.add_column("run", no_wrap=True, style="bold")
    table.add_column("date (UTC)", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("seed", justify="right", no_wrap=True)
    table.add_column("stack", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("MTTD", justify="right", no_wrap=True)
    table.add_column("MTTR", justify="right", no_wrap=True)
    table.add_column("drills", overflow="fold")
    for row in rows:
        stacks = sorted({drill.stack for drill in row.drills if drill.stack})
        notes = [*(["control"] if row.control else []), *(defect.rpartition(":")[2] for defect in row.defects)]
        table.add_row(
            Text(row.name),
            Text(row.began[:16].replace("T", " ")),
            duration(row.seconds),
            "?" if row.trouble else str(row.seed),
            Text(", ".join(stacks) + (f" ({', '.join(notes)})" if notes else "")),
            Text(row.answer.value.upper(), style=STYLES[row.answer]),
            mean(drill.detect_s for drill in row.drills),
            _mttr(row.drills),
            Text(row.trouble or _drills(row)),
        )
    drills = [drill for row in rows for drill in row.drills]
    if len(rows) > 1:
        table.add_section()
        table.add_row(f"all {len(rows)}", "", "", "", "", "", mean(d.detect_s for d in drills), _mttr(drills), "")
    print_table(console, table)


def mean(values: Iterable[float | None]) -> str:
    """Of those that there are."""
    found = [value for value in values if value is not None]
    return seconds(sum(found) / len(found) if found else None)


def _mttr(drills: Sequence[DrillRow]) -> str:
    """Mean over drills; one after which users never came back has no mean."""
    return "never" if any(drill.never_restored for drill in drills) else mean(drill.mttr_s for drill in drills)


def _drills(row: RunRow) -> str:
    parts = []
    for answer in ORDER:
        names = [drill.drill for drill in row.drills if drill.answer is answer]
        if names:
            parts.append(f"{answer.value}: {', '.join(names)}" if answer.value != "pass" else f"pass: {len(names)}")
    return "; ".join(parts) or "none"


def print_comparison(console: Console, comparisons: Sequence[DrillComparison], *, before: str, after: str) -> None:
    """A table of every figure, then what got worse in words."""
    table = Table(title=Text(f"{after} against {before}"), title_justify="left")
    table.add_column("drill", style="bold", no_wrap=True)
    table.add_column("figure", no_wrap=True)
    table.add_column("before", justify="right", no_wrap=True)
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("interval", justify="right", no_wrap=True)
    table.add_column("says", overflow="fold")
    for comparison in comparisons:
        changed = comparison.before is not comparison.after
        table.add_row(
            Text(comparison.drill),
            "verdict",
            comparison.before.value,
            Text(comparison.after.value, style=STYLES[comparison.after] if changed else ""),
            "",
            "",
            "changed" if changed else "the same",
        )
        for number, one in enumerate(comparison.differences):
            difference = None if one.before is None or one.after is None else one.after - one.before
            interval = (
                "-" if one.low is None else f"{said_change(one.figure, one.low)} to {said_change(one.figure, one.high)}"
            )
            table.add_row(
                "",
                one.figure.name,
                said(one.figure, one.before),
                said(one.figure, one.after),
                said_change(one.figure, difference),
                interval,
                Text.assemble((one.change, _CHANGES[one.change]), (f": {one.why}" if one.why else "", "dim")),
                end_section=number == len(comparison.differences) - 1,
            )
    print_table(console, table)
    for line in conclusions(comparisons):
        console.print(line, markup=False)


def conclusions(comparisons: Sequence[DrillComparison]) -> list[str]:
    """What follows, in a sentence each."""
    lines = []
    for comparison in comparisons:
        if ORDER.index(comparison.after) < ORDER.index(comparison.before):
            lines.append(f"{comparison.drill}: {comparison.before.value} became {comparison.after.value}.")
        for one in comparison.worse:
            lines.append(
                f"{comparison.drill}: {one.figure.name} got worse, {said(one.figure, one.before)} to "
                f"{said(one.figure, one.after)} "
                f"(by {said_change(one.figure, one.low)} to {said_change(one.figure, one.high)})."
            )
    late = [comparison.drill for comparison in comparisons if not comparison.on_time]
    if not lines:
        lines.append("Nothing is shown to have got worse.")
    if late:
        lines.append(f"The load generator was late in {', '.join(late)}: latencies there may be the client's own.")
    if not all(comparison.siblings for comparison in comparisons):
        lines.append(
            "Intervals hold the noise within the two runs; with three more runs in the folder they would "
            "hold that between runs too."
        )
    return lines


def got_worse(comparisons: Sequence[DrillComparison]) -> bool:
    """Whether any verdict or figure did."""
    return any(
        comparison.worse or ORDER.index(comparison.after) < ORDER.index(comparison.before) for comparison in comparisons
    )
