"""Multi-window, multi-burn-rate alerts: which windows, which factors (SRE workbook, chapter "Alerting on SLOs").

An alert fires while the burn rate over its long window *and* over its short one is above the factor: the long one says
that it matters, the short one that it is still going on. Two dialects, with the numbers of the tools that write such
rules:

sloth   fixed windows; the factor is the share of the budget that may be gone within the long one (2%, 5%, 10%, 10%)
        times period / long window.
pyrra   fixed factors 14, 7, 2, 1; windows that scale with the period, whole minutes, those of 28 days being 1h/5m,
        6h/30m, 1d/2h, 4d/6h; and a ``for``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
DIALECTS = ("sloth", "pyrra")
Severity = Literal["page", "ticket"]


class BurnAlert(msgspec.Struct, frozen=True, kw_only=True):
    """One pair of windows."""

    name: str = ""
    """Of an alert that an SLO file asks for itself."""
    severity: str
    """``page`` or ``ticket``, or what the file says."""
    long_s: float
    short_s: float
    factor: float
    for_s: float = 0.0

    def threshold(self, target: float) -> float:
        """The ratio of bad events above which both windows have to be."""
        return self.factor * (1 - target)


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the budget may be gone within the long window before somebody is told."""

    severity: Severity
    budget_percent: float
    long_s: float
    short_s: float

    def alert(self, period_s: float) -> BurnAlert:
        """The windows with their factor for a period of so many seconds."""
        factor = self.budget_percent / 100 * period_s / self.long_s
        return BurnAlert(severity=self.severity, long_s=self.long_s, short_s=self.short_s, factor=factor)


WORKBOOK = (
    Share(severity="page", budget_percent=2, long_s=HOUR_S, short_s=5 * MINUTE_S),
    Share(severity="page", budget_percent=5, long_s=6 * HOUR_S, short_s=30 * MINUTE_S),
    Share(severity="ticket", budget_percent=10, long_s=DAY_S, short_s=2 * HOUR_S),
    Share(severity="ticket", budget_percent=10, long_s=3 * DAY_S, short_s=6 * HOUR_S),
)
"""The SRE workbook's recommended parameters, and Sloth's for 28 and 30 days."""
_PYRRA_PERIOD_S = 28 * DAY_S
_PYRRA: tuple[tuple[Severity, float, float, float, float], ...] = (
    # severity, factor; long window, short window and ``for`` of a period of 28 days
    ("page", 14, HOUR_S, 5 * MINUTE_S, 2 * MINUTE_S),
    ("page", 7, 6 * HOUR_S, 30 * MINUTE_S, 15 * MINUTE_S),
    ("ticket", 2, DAY_S, 2 * HOUR_S, HOUR_S),
    ("ticket", 1, 4 * DAY_S, 6 * HOUR_S, 3 * HOUR_S),
)


def burn_alerts(period_s: float, dialect: str = "sloth", *, shares: Sequence[Share] = WORKBOOK) -> list[BurnAlert]:
    """The alerts for a period, the quickest first."""
    if dialect == "pyrra":
        scale = period_s / _PYRRA_PERIOD_S
        return [
            BurnAlert(
                severity=severity,
                factor=factor,
                long_s=_whole_minutes(long_s * scale),
                short_s=_whole_minutes(short_s * scale),
                for_s=_whole_minutes(for_s * scale),
            )
            for severity, factor, long_s, short_s, for_s in _PYRRA
        ]
    return [share.alert(period_s) for share in shares]


def period_s_min(dialect: str) -> float:
    """The shortest period, in seconds, that the dialect's windows make sense for.

    Sloth: twice the longest window; Pyrra: short windows of at least a minute.
    """
    return 6 * DAY_S if dialect == "sloth" else _PYRRA_PERIOD_S / 5


def absent_for_s(period_s: float, target: float) -> float:
    """How many seconds telemetry may be absent before that is an alert.

    As Pyrra has it: until its quickest alert would have fired, had all been errors.
    """
    quickest = burn_alerts(period_s, "pyrra")[0]
    until_over_s = float(int(quickest.threshold(target) * quickest.long_s))
    return _whole_minutes(until_over_s + quickest.for_s)


def exhausts_in_s(period_s: float, factor: float) -> float:
    """How long the whole budget lasts at a burn rate."""
    return period_s / factor


def _whole_minutes(seconds: float) -> float:
    """Rounded half up, as Go's Duration.Round does."""
    return float(int(seconds / MINUTE_S + 0.5)) * MINUTE_S
