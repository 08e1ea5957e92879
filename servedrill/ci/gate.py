"""What makes a night red, and the exit status that it comes to.

4 wrong usage, an expired quarantine, a stack that is out of reach · 1 the stack did not hold, or its error budget is
spent · 6 nobody can say · 0 all that gates was proven
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from servedrill.ci.night import Night
from servedrill.ci.record import Case, Word
from servedrill.errors import ExitCode

_CODES: dict[Word, ExitCode] = {
    "usage": ExitCode.USAGE,
    "failed": ExitCode.FAILED,
    "error": ExitCode.FAILED,
    "inconclusive": ExitCode.INCONCLUSIVE,
    "begun": ExitCode.INCONCLUSIVE,
}
_ORDER = (ExitCode.USAGE, ExitCode.FAILED, ExitCode.INCONCLUSIVE)
_SIGNS = {ExitCode.USAGE: "wrong usage", ExitCode.FAILED: "red", ExitCode.INCONCLUSIVE: "not judged"}


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of one SLO's error budget."""

    slo: str
    left: float | None
    """Share of the period's; None where nobody knows."""
    of: str
    """What it was read from."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a night is not green."""

    code: ExitCode
    text: str
    test: Case | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The night's."""

    reasons: list[Reason]
    """What weighs most first."""

    @property
    def code(self) -> ExitCode:
        """The exit status."""
        return self.reasons[0].code if self.reasons else ExitCode.PASSED

    @property
    def word(self) -> str:
        """``green``, ``red``, ``not judged``, ``wrong usage``."""
        return _SIGNS[self.code] if self.reasons else "green"


def gate(night: Night, budgets: Sequence[Budget] = (), worse: Sequence[str] = ()) -> Outcome:
    """What follows from the tests, from the budgets that gate, and from what got worse if that gates."""
    found = [Reason(code=ExitCode.USAGE, text=line) for line in night.told]
    for test in night.tests:
        if test.word in _CODES:
            text = "was cut off" if test.word == "begun" else test.text or test.word
            found.append(Reason(code=_CODES[test.word], text=text, test=test))
    for one in budgets:
        if one.left is None:
            found.append(Reason(code=ExitCode.INCONCLUSIVE, text=f"no data for the error budget of {one.slo}"))
        elif one.left <= 0:
            spent = f"the error budget of {one.slo} is spent: {1 - one.left:.0%} of it, by {one.of}"
            found.append(Reason(code=ExitCode.FAILED, text=spent))
    found += [Reason(code=ExitCode.FAILED, text=line) for line in worse]
    found += _of_the_session(night)
    return Outcome(reasons=sorted(found, key=lambda one: _ORDER.index(one.code)))


def _of_the_session(night: Night) -> list[Reason]:
    """What no test says."""
    found = []
    if night.stopped_by:
        found.append(Reason(code=ExitCode.INCONCLUSIVE, text=f"it was stopped by {night.stopped_by} before its end"))
    elif night.died:
        found.append(Reason(code=ExitCode.INCONCLUSIVE, text=f"pytest did not get to its end: {night.died}"))
    if found or night.told or any(test.word == "usage" for test in night.tests):
        return found
    statuses = night.statuses
    if ExitCode.INTERNAL in statuses:
        found.append(Reason(code=ExitCode.INCONCLUSIVE, text="pytest had an internal error, see its output"))
    if statuses and not night.tests:
        text = "no test was collected; name a folder of drills, such as `servedrill ci drills`"
        code = ExitCode.USAGE if statuses[-1] in (ExitCode.USAGE, ExitCode.NOTHING_RAN) else ExitCode.INCONCLUSIVE
        found.append(Reason(code=code, text=text if statuses[-1] != ExitCode.USAGE else "pytest refused its arguments"))
    elif night.tests and all(test.word == "skipped" for test in night.tests):
        found.append(Reason(code=ExitCode.INCONCLUSIVE, text="every drill was skipped: nothing was judged"))
    elif ExitCode.FAILED in statuses and not any(test.word in ("failed", "error") for test in night.tests):
        found.append(Reason(code=ExitCode.FAILED, text="pytest says that something failed, see its output"))
    elif ExitCode.INTERRUPTED in statuses and not night.again:
        found.append(Reason(code=ExitCode.INCONCLUSIVE, text="pytest was interrupted, see its output"))
    return found
