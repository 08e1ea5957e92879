"""Objectives of SLO files: targets, limits, time slices, and the period that they are counted over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfoNotFoundError

from servedrill.files.documents import Document
from servedrill.files.places import Key
from servedrill.slo import durations, schema
from servedrill.slo.measures import VALUES
from servedrill.slo.objects import Objects
from servedrill.slo.slo import PERIOD_S, Sli

SLICE_S_MIN = 0.1


@dataclass(frozen=True, slots=True)
class Period:
    """Rolling, unless it has a start."""

    seconds: float = PERIOD_S
    calendar_start: str = ""
    calendar_zone: str = ""
    calendar_unit: str = ""


def read_objective(
    objects: Objects,
    document: Document,
    key: Key,
    objective: schema.Objective,
    method: schema.Method,
    sli: Sli | None,
    threshold: bool,
) -> tuple[float, float | None, schema.Op | None, float | None] | None:
    """Target, slice in seconds, operator and limit; None where it has no target."""
    if threshold and (objective.op is None or objective.value is None):
        missing = [name for name in ("op", "value") if getattr(objective, name) is None]
        objects.wrong(
            document,
            key,
            " and ".join(repr(name) for name in missing) + " missing",
            expected="op and value, for a thresholdMetric",
        )
    if sli is not None and not threshold and objective.value is not None:
        objects.wrong(document, (*key, "value"), "'value' has no use with a ratioMetric")
    if (
        sli is not None
        and threshold
        and objective.value is not None
        and sli.measure in VALUES
        and not VALUES[sli.measure].more_is_better
        and objective.op in ("gt", "gte")
    ):
        objects.wrong(document, (*key, "op"), f"{objective.op!r} makes slow good", expected="lte or lt")
    slice_s = _slice(objects, document, key, objective, method)
    target = _target(objects, document, key, objective)
    return None if target is None else (target, slice_s, objective.op, objective.value)


def _target(objects: Objects, document: Document, key: Key, objective: schema.Objective) -> float | None:
    if (objective.target is None) == (objective.target_percent is None):
        objects.wrong(
            document,
            key,
            "has both" if objective.target is not None else "has no target",
            expected="either target or targetPercent",
        )
        return None
    if objective.target is not None:
        if 0 <= objective.target < 1:
            return objective.target
        hint = f"did you mean 'targetPercent: {objective.target:g}'?" if 1 < objective.target < 100 else ""
        objects.wrong(document, (*key, "target"), f"is {objective.target:g}", expected="0 to below 1", hint=hint)
        return None
    assert objective.target_percent is not None
    if 0 <= objective.target_percent < 100:
        # Decimal, so that 99.9 is 0.999 and not the float that a division makes of it.
        return float(f"{objective.target_percent / 100:.12g}")
    objects.wrong(document, (*key, "targetPercent"), f"is {objective.target_percent:g}", expected="0 to below 100")
    return None


def _slice(
    objects: Objects, document: Document, key: Key, objective: schema.Objective, method: schema.Method
) -> float | None:
    window = objective.time_slice_window
    if method == "Occurrences":
        for name, value in (("timeSliceTarget", objective.time_slice_target), ("timeSliceWindow", window)):
            if value is not None:
                objects.wrong(
                    document,
                    (*key, name),
                    f"{name} has no use with Occurrences",
                    expected="Timeslices or RatioTimeslices for it",
                )
        return None
    if method == "Timeslices" and objective.time_slice_target is None:
        objects.wrong(
            document,
            key,
            "'timeSliceTarget' is missing",
            expected="the share of good events that makes a slice good",
        )
    if objective.time_slice_target is not None and not 0 < objective.time_slice_target <= 1:
        objects.wrong(
            document,
            (*key, "timeSliceTarget"),
            f"is {objective.time_slice_target:g}",
            expected="above 0, at most 1",
        )
    if window is None:
        objects.wrong(document, key, "'timeSliceWindow' is missing", expected=durations.FORM + ", or minutes")
        return None
    slice_s = durations.seconds(window) if isinstance(window, str) else window * 60
    if slice_s is None or slice_s < SLICE_S_MIN:
        expected = f"{durations.FORM}, or minutes; {SLICE_S_MIN:g} s or more"
        objects.wrong(document, (*key, "timeSliceWindow"), f"is {window!r}", expected=expected)
        return None
    return slice_s


def period_of(objects: Objects, document: Document, spec: schema.SloSpec) -> Period:
    """What an SLO is counted over; that of a file that says nothing where it is wrong, which is noted."""
    if not spec.time_window:
        return Period()
    if len(spec.time_window) > 1:
        objects.wrong(document, ("spec", "timeWindow", 1), "a second window", expected="one")
    window, key = spec.time_window[0], ("spec", "timeWindow", 0)
    seconds = durations.seconds(window.duration)
    if seconds is None:
        objects.wrong(document, (*key, "duration"), f"is {window.duration!r}", expected=durations.FORM)
        return Period()
    if window.calendar is None:
        if window.is_rolling is not True:
            objects.wrong(
                document, key, "is not rolling and has no calendar", expected="isRolling: true, or a calendar"
            )
        return Period(seconds)
    if window.is_rolling:
        objects.wrong(document, (*key, "isRolling"), "is rolling and has a calendar", expected="one of them")
    try:
        zone = durations.zone(window.calendar.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        objects.wrong(
            document,
            (*key, "calendar", "timeZone"),
            f"no time zone {window.calendar.time_zone!r}",
            expected="a name of the IANA data base, such as Europe/Berlin",
        )
        return Period(seconds)
    try:
        start = datetime.fromisoformat(window.calendar.start_time)
    except ValueError:
        objects.wrong(
            document,
            (*key, "calendar", "startTime"),
            f"is {window.calendar.start_time!r}",
            expected="2026-01-31 12:30:00",
        )
        return Period(seconds)
    # A time with an offset of its own is an instant; one without is what the clocks of the zone show.
    start = start.astimezone(zone) if start.tzinfo else start.replace(tzinfo=zone)
    return Period(seconds, start.isoformat(), window.calendar.time_zone, window.duration)
