"""The few sentences and figures that the table, the page, the summaries and the incident file have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable

from servedrill.checkers.finding import SAMPLE, Answer
from servedrill.judging.timeline import Restored
from servedrill.judging.verdict import Verdict

ORDER = (Answer.FAIL, Answer.INCONCLUSIVE, Answer.PASS)
"""What has to be read first stands first."""


def worst_of(answers: Iterable[Answer]) -> Answer:
    """The answer of several together; nothing judged is INCONCLUSIVE."""
    found = set(answers)
    return next((answer for answer in ORDER if answer in found), Answer.INCONCLUSIVE)


def decisive(verdict: Verdict) -> str:
    """What the verdict hangs on: the first refutations or doubts; else some of what was measured against a limit."""
    doubts = [*verdict.of(Answer.FAIL), *verdict.of(Answer.INCONCLUSIVE)]
    if doubts:
        return "; ".join(f"{finding.checker}: {finding.observed}" for finding in doubts[:2])
    measured = [finding for finding in verdict.findings if finding.figures and finding.threshold]
    measured.sort(key=lambda finding: not finding.window)  # what this drill asks first, then what every drill does
    proven = f"{len(verdict.of(Answer.PASS))} claims proven; "
    return proven + "; ".join([*(finding.observed for finding in measured[:3]), *weakest(verdict)])


def weakest(verdict: Verdict) -> list[str]:
    """Which claim about a share stands on the smallest sample, and what that leaves possible; none without such a
    claim."""
    counted = [finding for finding in verdict.of(Answer.PASS) if finding.leaves]
    if not counted:
        return []
    least = min(counted, key=lambda finding: finding.figures[SAMPLE])
    return [f"smallest sample {least.figures[SAMPLE]:.0f} ({least.checker}): {least.leaves}"]


def seconds(value: float | None) -> str:
    """``0.4 s``; a dash where there was nothing to time."""
    return "-" if value is None or math.isnan(value) else f"{value:.1f} s"


def times(verdict: Verdict) -> str:
    """Detect, fail over, recover, and the mean time to restore."""
    told = [seconds(value) for value in (verdict.detect_s, verdict.failover_s, verdict.recover_s)]
    return " / ".join([*told, mttr(verdict)])


def mttr(verdict: Verdict) -> str:
    """``never`` where users did not come back from a fault; a dash where one cannot be timed."""
    return "never" if verdict.never_restored else seconds(verdict.mttr_s)


def restored(faults: Iterable[Restored]) -> str:
    """When users were served well again after faults that were one to them: the latest, or why nobody can say."""
    found = list(faults)
    if any(one.outcome == "never" for one in found):
        return "never"
    if any(one.seconds is None for one in found):
        return "unknown"
    return f"after {max(one.seconds or 0.0 for one in found):.1f} s" if found else "-"


def share(value: float) -> str:
    """A share of a budget: three digits, and no more zeros than can be read."""
    return "0%" if not value else f"{100 * value:.3g}%" if abs(value) >= 1e-5 else "< 0.001%"


def duration(value_s: float | None) -> str:
    """A time as people say it, from microseconds to hours; ``never`` for what did not come."""
    if value_s is None or math.isnan(value_s):
        return "-"
    if math.isinf(value_s):
        return "never"
    if value_s < 0.9995:
        return f"{value_s * 1e3:.3g} ms"
    if value_s < 120:
        return f"{value_s:.3g} s"
    minutes, rest = divmod(round(value_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def count(number: int, noun: str) -> str:
    """``1 drill``, ``2 drills``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def headline(answers: list[Answer]) -> str:
    """A run in one sentence."""
    if not answers:
        return "Nothing was judged"
    failed, unsure = answers.count(Answer.FAIL), answers.count(Answer.INCONCLUSIVE)
    proven = len(answers) - failed - unsure
    if not failed and not unsure:
        return "The drill held" if proven == 1 else f"All {proven} drills held"
    parts = [
        f"{number} {what}"
        for number, what in ((failed, "failed"), (unsure, "could not be judged"), (proven, "held"))
        if number
    ]
    return (
        f"Of {count(len(answers), 'drill')}, " + ", ".join(parts) if len(answers) > 1 else f"The drill {parts[0][2:]}"
    )
