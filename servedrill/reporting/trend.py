"""All runs of a folder on one page: verdicts by night, times with their noise, budgets, and what changed with what.

Drawn as SVG by this program; the page has no script. One column is one run, the oldest on the left; controls and runs
with defects are left out.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import msgspec

from servedrill.checkers.finding import Answer
from servedrill.files.whole import write_whole
from servedrill.judging.words import seconds
from servedrill.reporting.page import FILE as PAGE
from servedrill.reporting.page import still
from servedrill.runs.index import DrillRow, RunRow, Wanted, open_index
from servedrill.runs.measured import FIGURES
from servedrill.slo.spending import Spending
from servedrill.stats.changes import changes
from servedrill.stats.percentiles import percentile

FILE = "trend.html"
NOT_GREEN_MAX = 100
_TIMES = {"detect": "detect_s", "fail over": "failover_s", "recover": "recover_s", "MTTR": "mttr_s"}
"""Figure as `compare` has it -> field of a `DrillRow`."""
_LEAST_S = {figure.name: figure.least for figure in FIGURES}
_HEIGHTS = {Answer.PASS: 4, Answer.INCONCLUSIVE: 7, Answer.FAIL: 10}
_TOP = 0.92
"""Of a plot's height, where the largest value is."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of runs between two changes."""

    begin: int
    end: int
    median: float
    low: float
    """The noise: 10% of the values are below, 10% above ``high``."""
    high: float


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """One time of one drill; paths are SVG, a unit wide for each run and 100 high."""

    figure: str
    top_s: float
    dots: str
    never: str
    levels: list[Level]
    said: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A level that began with a run."""

    column: int
    what: str
    """``node_restart: recover 1.2 s to 3.4 s``."""
    worse: bool


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A run with which levels began."""

    run: RunRow
    came_with: str
    changes: list[Change]


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """One drill's verdicts and times."""

    drill: str
    counts: dict[Answer, int]
    marks: dict[Answer, str]
    plots: list[Plot]


class BudgetTrend(msgspec.Struct, frozen=True, kw_only=True):
    """One SLO: what each run spent."""

    slo: str
    bars: str
    most: float
    spent: float
    """In the period that ends with the last run."""
    period_s: float


class StackTrend(msgspec.Struct, frozen=True, kw_only=True):
    """All runs on one stack."""

    stack: str
    runs: list[RunRow]
    strips: list[Strip]
    changed: list[Changed]
    """The latest first."""
    budgets: list[BudgetTrend]
    not_green: list[tuple[RunRow, str, Answer, str]]
    """Run, drill, answer, and where its report is; the latest first."""


def write_trend(runs: Path, target: Path, *, wanted: Wanted, rebuild: bool = False) -> None:
    """The page of the runs of a folder that are wanted. Raises `UsageError` where there is no such folder, or the page
    cannot be written."""
    with open_index(runs, rebuild=rebuild) as index:
        rows = index.find(wanted)
        spent = index.spent()
    write_whole(target, render_trend(rows, spent, runs=runs, target=target).encode(errors="replace"))


def render_trend(rows: Sequence[RunRow], spent: dict[str, list[Spending]], *, runs: Path, target: Path) -> str:
    """The page as text; ``rows`` are the latest first."""
    told = [row for row in reversed(rows) if not (row.control or row.defects or row.trouble)]
    stacks = sorted({drill.stack for row in told for drill in row.drills})
    return still(
        "trend.html",
        sheet="trend.css",
        stacks=[_stack(stack, told, spent, runs, target) for stack in stacks],
        runs=told,
        left_out=len(rows) - len(told),
        height=height,
    )


def _stack(stack: str, told: list[RunRow], spent: dict[str, list[Spending]], runs: Path, target: Path) -> StackTrend:
    rows = [row for row in told if any(drill.stack == stack for drill in row.drills)]
    by_drill: dict[str, list[DrillRow | None]] = {}
    for column, row in enumerate(rows):
        for drill in row.drills:
            if drill.stack == stack:
                by_drill.setdefault(drill.drill, [None] * len(rows))[column] = drill
    found: list[Change] = []
    strips = [_strip(name, drills, found) for name, drills in sorted(by_drill.items())]
    not_green: list[tuple[RunRow, str, Answer, str]] = [
        (row, drill.drill, drill.answer, _link(runs / row.name / PAGE, target))
        for row in reversed(rows)
        for drill in row.drills
        if drill.stack == stack and drill.answer is not Answer.PASS
    ]
    return StackTrend(
        stack=stack,
        runs=rows,
        strips=strips,
        changed=[_changed(rows, found, column) for column in sorted({one.column for one in found}, reverse=True)],
        budgets=_budgets(rows, spent),
        not_green=not_green[:NOT_GREEN_MAX],
    )


def _strip(name: str, drills: list[DrillRow | None], found: list[Change]) -> Strip:
    marks: dict[Answer, list[str]] = {answer: [] for answer in Answer}
    for column, drill in enumerate(drills):
        if drill is not None:
            height = _HEIGHTS[drill.answer]
            marks[drill.answer].append(f"M{column} 10v-{height}h1v{height}z")
    there = [(column, drill) for column, drill in enumerate(drills) if drill is not None]
    held = [float(drill.answer is not Answer.PASS) for _, drill in there]
    for at in changes(held):
        before, after = _share(held, at, -1), _share(held, at, 1)
        what = f"{name}: did not hold in {before:.0%} of the runs before, {after:.0%} since"
        found.append(Change(column=there[at][0], what=what, worse=after > before))
    plots = [_plot(name, figure, there, found) for figure in _TIMES]
    return Strip(
        drill=name,
        counts={answer: len(marks[answer]) for answer in Answer},
        marks={answer: "".join(paths) for answer, paths in marks.items()},
        plots=[plot for plot in plots if plot is not None],
    )


def _share(held: list[float], at: int, side: int) -> float:
    """Of up to 20 runs on one side of a change."""
    part = held[max(0, at - 20) : at] if side < 0 else held[at : at + 20]
    return sum(part) / len(part)


def _plot(name: str, figure: str, there: list[tuple[int, DrillRow]], found: list[Change]) -> Plot | None:
    timed = [(column, value) for column, drill in there if (value := getattr(drill, _TIMES[figure])) is not None]
    never = [column for column, drill in there if figure == "MTTR" and drill.never_restored]
    if not timed:
        return None
    values = [value for _, value in timed]
    cuts = [at for at in changes(values) if _matters(figure, values, at)]
    levels = []
    for begin, end in zip([0, *cuts], [*cuts, len(values)], strict=True):
        part = values[begin:end]
        levels.append(
            Level(
                begin=timed[begin][0],
                end=timed[end - 1][0] + 1,
                median=median(part),
                low=percentile(part, 10),
                high=percentile(part, 90),
            )
        )
    for at, before, after in zip(cuts, levels, levels[1:], strict=False):
        what = f"{name}: {figure} {seconds(before.median)} to {seconds(after.median)}"
        found.append(Change(column=timed[at][0], what=what, worse=after.median > before.median))
    top = max(values) or 1.0
    last = levels[-1]
    said = f"{seconds(last.median)}, 8 in 10 runs within {seconds(last.low)} and {seconds(last.high)}"
    if never:
        said += f"; never in {len(never)}"
    return Plot(
        figure=figure,
        top_s=top,
        dots="".join(f"M{column}.5 {height(value, top):.1f}h0" for column, value in timed),
        never="".join(f"M{column}.5 2h0" for column in never),
        levels=levels,
        said=said,
    )


def _matters(figure: str, values: list[float], at: int) -> bool:
    """As in a comparison of two runs: what nobody would notice is no change."""
    return abs(median(values[at:][:20]) - median(values[max(0, at - 20) : at])) >= _LEAST_S[figure]


def height(value: float, top: float) -> float:
    """Where a value stands in a plot, from its upper edge down to 100."""
    return 100 - 100 * _TOP * value / top


def _changed(rows: list[RunRow], found: list[Change], column: int) -> Changed:
    """What began with one run, and what was new in it."""
    row, before = rows[column], rows[column - 1]
    news = []
    if row.commit != before.commit:
        news.append(f"commit {_short(before.commit)} to {_short(row.commit)}")
    if row.images != before.images:
        news.append(f"image {', '.join(before.images) or 'unknown'} to {', '.join(row.images) or 'unknown'}")
    known = "nothing that a run knows of: the same commit and images, so look at the machine and the stack's settings"
    changes_ = [one for one in found if one.column == column]
    return Changed(run=row, came_with="; ".join(news) or known, changes=changes_)


def _short(commit: str) -> str:
    return commit[:10] or "unknown"


def _budgets(rows: list[RunRow], spent: dict[str, list[Spending]]) -> list[BudgetTrend]:
    by_slo: dict[tuple[str, float], list[tuple[int, float]]] = {}
    for column, row in enumerate(rows):
        for one in spent.get(row.name, []):
            if one.total:
                by_slo.setdefault((one.slo, one.period_s), []).append((column, one.spend))
    found = []
    for (slo, period_s), spends in sorted(by_slo.items()):
        by_run = [0.0] * len(rows)
        for column, value in spends:
            by_run[column] += value
        most = max(by_run)
        bars = "".join(
            f"M{column} 100V{height(value, most):.1f}h1V100z" for column, value in enumerate(by_run) if value > 0
        )
        recent = sum(value for column, value in enumerate(by_run) if _within(rows[column], rows[-1], period_s))
        found.append(BudgetTrend(slo=slo, bars=bars, most=most, spent=recent, period_s=period_s))
    return found


def _within(row: RunRow, last: RunRow, period_s: float) -> bool:
    try:
        return datetime.fromisoformat(row.began) > datetime.fromisoformat(last.began) - timedelta(seconds=period_s)
    except (ValueError, TypeError):
        return not math.isfinite(period_s)


def _link(report: Path, target: Path) -> str:
    """From the page to a run's report; empty where there is none."""
    return os.path.relpath(report.resolve(), target.resolve().parent) if report.is_file() else ""
