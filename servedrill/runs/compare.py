"""Two runs held against each other: what got worse, what got better, and what is only noise.

The interval of a difference is a bootstrap: short blocks of each run's time are drawn again and again, with
replacement, each in the place of one of the same phase of the drill, and the figure is taken of each drawing. That is
the noise within a run. Where the folder has other runs of the same drill on the same stack, how far they lie from each
other is the noise between runs, and is added. A difference counts when 0 is outside of its interval and it is large
enough to matter.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

import msgspec

from servedrill.checkers.finding import Answer
from servedrill.judging.words import duration
from servedrill.runs.measured import FIGURES, Block, Figure, Measured

RESAMPLES = 600
CONFIDENCE = 0.99
"""Of one interval. A comparison of six drills has 48 of them."""
SIBLINGS_MIN = 3
"""Runs beside the two, from which noise between runs is taken."""

Change = Literal["worse", "better", "no difference shown", "not comparable"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one drill in both runs."""

    drill: str
    figure: Figure
    before: float | None
    after: float | None
    low: float | None
    """The difference's interval, after minus before; None where there is none."""
    high: float | None
    change: Change
    why: str = ""


class DrillComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One drill in both runs."""

    drill: str
    before: Answer
    after: Answer
    siblings: int
    """Other runs that noise between runs was taken from."""
    on_time: bool
    """Whether the load generators of both kept their schedules."""
    differences: list[Difference]

    @property
    def worse(self) -> list[Difference]:
        """The differences that are beyond the noise and to the worse."""
        return [difference for difference in self.differences if difference.change == "worse"]


def compare(
    drill: str,
    before: tuple[Answer, Measured],
    after: tuple[Answer, Measured],
    siblings: Sequence[Measured] = (),
    *,
    confidence: float = CONFIDENCE,
) -> DrillComparison:
    """Every figure of one drill. The same data give the same answer."""
    chance = random.Random(drill)
    others = list(siblings) if len(siblings) >= SIBLINGS_MIN else []
    phases = _phases(before[1]), _phases(after[1])
    drawings = [(_drawn(phases[0], chance), _drawn(phases[1], chance)) for _ in range(RESAMPLES)]
    return DrillComparison(
        drill=drill,
        before=before[0],
        after=after[0],
        siblings=len(others),
        on_time=before[1].on_time and after[1].on_time,
        differences=[
            _difference(drill, figure, before[1], after[1], drawings, others, chance, confidence) for figure in FIGURES
        ],
    )


def _drawn(phases: list[list[Block]], chance: random.Random) -> list[Block]:
    return [block for phase in phases for block in chance.choices(phase, k=len(phase))]


def _phases(measured: Measured) -> list[list[Block]]:
    found: dict[str, list[Block]] = {}
    for block in measured.blocks:
        found.setdefault(block.phase, []).append(block)
    return list(found.values())


def _difference(
    drill: str,
    figure: Figure,
    before: Measured,
    after: Measured,
    drawings: list[tuple[list[Block], list[Block]]],
    siblings: list[Measured],
    chance: random.Random,
    confidence: float,
) -> Difference:
    was, now = before.value(figure.name), after.value(figure.name)
    if was is None or now is None:
        gone = {(False, True): "not timed in the baseline", (True, False): "was timed, is not any more"}
        why = gone.get((was is not None, now is not None), "nothing to measure it by")
        return Difference(
            drill=drill, figure=figure, before=was, after=now, low=None, high=None, change="not comparable", why=why
        )
    around = [value for sibling in siblings if (value := sibling.value(figure.name)) is not None]
    found = []
    for old, new in drawings:
        if figure.resolution_s:
            one: float | None = was + chance.uniform(-figure.resolution_s, figure.resolution_s)
            other: float | None = now + chance.uniform(-figure.resolution_s, figure.resolution_s)
        else:
            one, other = before.value(figure.name, old), after.value(figure.name, new)
        if one is None or other is None:
            continue
        between = chance.choice(around) - chance.choice(around) if len(around) >= SIBLINGS_MIN else 0.0
        found.append(other - one + between)
    found.sort()
    if not found:
        return Difference(
            drill=drill,
            figure=figure,
            before=was,
            after=now,
            low=None,
            high=None,
            change="not comparable",
            why="too few requests",
        )
    outside = (1 - confidence) / 2
    low = found[int(outside * (len(found) - 1))]
    high = found[-1 - int(outside * (len(found) - 1))]
    least = max(figure.least, figure.least_ratio * abs(was))
    change: Change = "no difference shown"
    why = ""
    if low <= 0 <= high:
        pass
    elif abs(now - was) < least:
        why = f"less than {said(figure, least)}, which is of no concern"
    elif figure.resolution_s and len(around) < SIBLINGS_MIN:
        why = f"one run each: {SIBLINGS_MIN} more like them in the folder would tell how far such runs lie apart"
    else:
        change = "worse" if (now > was) == (figure.better == "less") else "better"
    return Difference(drill=drill, figure=figure, before=was, after=now, low=low, high=high, change=change, why=why)


def said(figure: Figure, value: float | None) -> str:
    """A figure in its unit."""
    if value is None:
        return "-"
    return duration(value) if figure.unit == "s" else f"{value:.1f}%"


def said_change(figure: Figure, value: float | None) -> str:
    """A difference with its sign; shares in percentage points."""
    if value is None:
        return "-"
    sign = "+" if value >= 0 else "−"
    return f"{sign}{duration(abs(value))}" if figure.unit == "s" else f"{sign}{abs(value):.1f} points"
