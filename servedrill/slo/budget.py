"""Error budget: burn rate, what a drill spends of it, what is left.

    burn  = bad ratio / (1 - target)
    spend = burn x time / period
    left  = 1 - spend of everything in the period

A minute of full outage at 99.9% over 30 days burns at 1,000 and spends 2.3% of the budget. Sloth, Pyrra and
slo-generator compute the same things under other names; tests/slo/test_slo_published.py has their numbers.
"""

from __future__ import annotations

import math

import msgspec


def burn(bad_ratio: float, target: float) -> float:
    """How many times faster than allowed the budget is spent; 1 spends exactly all of it in the period."""
    return bad_ratio / (1 - target)


def spend(bad_ratio: float, target: float, *, seconds: float, period_s: float) -> float:
    """Share of the period's budget that is gone after ``seconds`` at this ratio; above 1 it is overspent."""
    return burn(bad_ratio, target) * seconds / period_s


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """One SLO's budget; ``bad_ratio`` of NaN where there was nothing to measure."""

    slo: str
    target: float
    period_s: float
    spent: float
    """Share of the budget, 0 and more."""
    bad_ratio: float = math.nan
    of: str = ""
    """What it was read from."""

    @property
    def left(self) -> float:
        """Share that is left; negative when it is overspent."""
        return 1 - self.spent

    @property
    def is_spent(self) -> bool:
        """Whether nothing of it is left."""
        return self.spent >= 1

    @property
    def known(self) -> bool:
        """False where there was no event to count."""
        return not math.isnan(self.spent)


def budget_of(name: str, bad_ratio: float, *, target: float, period_s: float, of: str = "") -> Budget:
    """A budget by the ratio of bad events over the whole period, as Prometheus tells it."""
    return Budget(slo=name, target=target, period_s=period_s, spent=burn(bad_ratio, target), bad_ratio=bad_ratio, of=of)


class WindowReport(msgspec.Struct, frozen=True, kw_only=True):
    """What slo-generator reports of one window; minutes are minutes of everything bad."""

    sli: float
    gap: float
    budget_ratio: float
    bad_ratio: float
    budget_minutes: float
    bad_minutes: float
    left_minutes: float
    burn: float
    alert: bool


def window_report(good: float, bad: float, *, target: float, window_s: float, burn_max: float) -> WindowReport:
    """One window by slo-generator's rules: the SLI to six digits, the burn rate to one, an alert above ``burn_max``."""
    sli = round(good / (good + bad), 6)
    rate = round((1 - sli) / (1 - target), 1)
    return WindowReport(
        sli=sli,
        gap=sli - target,
        budget_ratio=1 - target,
        bad_ratio=1 - sli,
        budget_minutes=window_s * (1 - target) / 60,
        bad_minutes=window_s * (1 - sli) / 60,
        left_minutes=window_s * (sli - target) / 60,
        burn=rate,
        alert=rate > burn_max,
    )
