"""What an SLO means, in plain words."""

from __future__ import annotations

from datetime import datetime

from servedrill.slo.alerting import unwatched, windows_of
from servedrill.slo.durations import short
from servedrill.slo.measures import COUNTS, OBSERVED, RATES, VALUES
from servedrill.slo.objectives import Objective
from servedrill.slo.policy import ACTIONS, follows
from servedrill.slo.slo import SIGNS, Slo
from servedrill.slo.windows import BurnAlert


def explained(slo: Slo) -> list[str]:
    """Sentences: the promise, over what time, how it is counted, the budget, when people are told, what follows."""
    kind = "SLA" if slo.agreement == "sla" else "SLO"
    sentences = [f"{kind} {slo.name}" + (f" of {slo.service}" if slo.service else "") + f": {promise(slo)}."]
    sentences.append(f"Counted over {_period(slo)}, {_method(slo)}.")
    sentences.append(_budget(slo))
    if slo.sli.judged_by_history:
        sentences.append("Requests that a drill cancels itself are neither good nor bad.")
    else:
        sentences.append("Only Prometheus can tell: a drill's history is not judged by it.")
    if slo.agreement == "sla":
        sentences.append(
            "An agreement with users: missing an SLO does not break it, and it raises no alerts of its own."
        )
        return sentences
    sentences += _alerts(slo)
    sentences.append("When the budget is spent: " + "; ".join(ACTIONS[word] for word in follows(slo.when_spent)) + ".")
    return sentences


def promise(slo: Slo) -> str:
    """``95% of chat requests: time to first token, from the scheduled instant, <= 0.8 s``."""
    share, whom, sli = percent(slo.target), f"{slo.sli.cls} requests" if slo.sli.cls else "requests", slo.sli
    if sli.measure in VALUES:
        value = VALUES[sli.measure]
        text = f"{share} of {whom}: {value.says}, {SIGNS[sli.op]} {sli.limit:g} {value.unit}".rstrip()
        return text + (f" ({_limits(sli.limits)})" if value.deadlines else "")
    if sli.measure in COUNTS:
        limits = _limits(sli.limits)
        return f"{share} of all {whom}: {COUNTS[sli.measure].says}" + (f" ({limits})" if limits else "")
    if sli.measure in RATES:
        rate = RATES[sli.measure]
        limits = _limits(sli.limits)
        return f"{rate.says}, of {whom}: {SIGNS[sli.op]} {sli.limit:g} {rate.unit}, {share} of the time" + (
            f" ({limits})" if limits else ""
        )
    if sli.measure == OBSERVED:
        return f"{share} of the drills' own measurements {sli.observed!r} are {SIGNS[sli.op]} {sli.limit:g}"
    if sli.value_query:
        return f"{share} of the values of {sli.value_query} are {SIGNS[sli.op]} {sli.limit:g}"
    if sli.ratio_query:
        return f"{share}, as {sli.ratio_query} tells it"
    part = f"{sli.good_query} are good" if sli.good_query else f"{sli.bad_query} are bad"
    return f"{share} good, where {part} of {sli.total_query}"


def percent(ratio: float) -> str:
    """Without digits that say nothing: 99.9%."""
    return f"{ratio * 100:.10g}%"


def alert_said(alert: BurnAlert) -> str:
    """``page (14.4 over 1h and 5m)``; one that a file asks for by its name."""
    if alert.name:
        return f"{alert.name}, {alert.severity} ({alert.factor:.4g} over {short(alert.long_s)})"
    return f"{alert.severity} ({alert.factor:.4g} over {short(alert.long_s)} and {short(alert.short_s)})"


def _limits(limits: Objective) -> str:
    names = {"ttft_s": "first token within", "tpot_s": "a token every", "max_stall_s": "no silence longer than"}
    return ", ".join(
        f"{says} {getattr(limits, name):g} s" for name, says in names.items() if getattr(limits, name) is not None
    )


def _period(slo: Slo) -> str:
    if slo.calendar_start:
        start = datetime.fromisoformat(slo.calendar_start)
        zone = slo.calendar_zone or start.tzname()
        return f"each {slo.calendar_unit} of the calendar since {start:%Y-%m-%d %H:%M} {zone}"
    return f"the last {short(slo.period_s)}"


def _method(slo: Slo) -> str:
    if slo.method == "Occurrences":
        return "every request alike"
    assert slo.slice_s is not None
    if slo.method == "Timeslices":
        needed = 1.0 if slo.slice_target is None else slo.slice_target
        return f"in slices of {slo.slice_s:g} s; a slice is good when {percent(needed)} in it is, and slices count"
    mean = "the mean of the slices' ratios counts, so a busy minute weighs no more than a quiet one"
    return f"in slices of {slo.slice_s:g} s; {mean}"


def _budget(slo: Slo) -> str:
    minutes = slo.budget_ratio * slo.period_s / 60
    much = f"{minutes:.1f} minutes" if minutes < 600 else f"{minutes / 60:.1f} hours"
    return f"The budget is {percent(round(slo.budget_ratio, 12))}: {much} of everything bad in {short(slo.period_s)}."


def _alerts(slo: Slo) -> list[str]:
    if slo.conditions:
        return [
            f"Alert {one.name} ({one.severity}): burn rate {SIGNS[one.op]} {one.factor:g} over {short(one.window_s)}, "
            f"for {short(one.for_s) if one.for_s else 'no time'}."
            for one in slo.conditions
        ]
    if without := unwatched(slo):
        return [f"{without[0].upper()}{without[1:]}."]
    alerts = windows_of(slo)
    return [
        f"{severity.capitalize()} when the burn rate is above "
        + ", or ".join(
            f"{one.factor:.4g} over {short(one.long_s)} and {short(one.short_s)}"
            for one in alerts
            if one.severity == severity
        )
        + "."
        for severity in ("page", "ticket")
    ]
