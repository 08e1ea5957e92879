"""Which burn-rate alerts an SLO has: those that its file asks for, else the multi-window ones of its dialect."""

from __future__ import annotations

from servedrill.slo.durations import short
from servedrill.slo.objects import ALERT_WINDOWS
from servedrill.slo.slo import Slo
from servedrill.slo.windows import DAY_S, BurnAlert, burn_alerts, period_s_min


def windows_of(slo: Slo) -> list[BurnAlert]:
    """The multi-window alerts, the quickest first.

    None of an SLA, of an SLO with alert policies of its own, and of a period that is too short for them.
    """
    if slo.agreement == "sla" or slo.conditions or unwatched(slo):
        return []
    return burn_alerts(slo.period_s, slo.alert_windows)


def alerts_of(slo: Slo) -> list[BurnAlert]:
    """All that can fire: `windows_of`, or those of the file that fire when the burn rate is above something."""
    return windows_of(slo) + [
        BurnAlert(
            name=one.name,
            severity=one.severity,
            factor=one.factor,
            long_s=one.window_s,
            short_s=one.window_s,
            for_s=one.for_s,
        )
        for one in slo.conditions
        if slo.agreement == "slo" and one.op in ("gt", "gte")
    ]


def unwatched(slo: Slo) -> str:
    """Why an SLO has no burn-rate alerts at all, and what gives it some; empty where it has, and of an SLA."""
    least_s = period_s_min(slo.alert_windows)
    if slo.agreement == "sla" or slo.conditions or slo.period_s >= least_s:
        return ""
    scaled = slo.alert_windows == "sloth" and slo.period_s >= period_s_min("pyrra")
    other = f", and so does '{ALERT_WINDOWS}: pyrra'" if scaled else ""
    return (
        f"no burn-rate alerts: {short(slo.period_s)} is too short for the windows of {slo.alert_windows}, "
        f"which take {least_s / DAY_S:g} days or more; alertPolicies of its own give it some{other}"
    )
