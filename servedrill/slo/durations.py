"""OpenSLO's durations: a whole number and one letter, ``5m``, ``12h``, ``4w``, ``1M``."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from zoneinfo import ZoneInfo

UNITS_S = {
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 7 * 86_400.0,
    "M": 30 * 86_400.0,
    "Q": 90 * 86_400.0,
    "Y": 365 * 86_400.0,
}
"""Seconds. OpenSLO leaves open how long a month is: 30 days here, a quarter 90, a year 365.

Calendar periods have their true length.
"""
_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdwMQY])")
_MONTHS = {"M": 1, "Q": 3, "Y": 12}
_DAYS = {"d": 1, "w": 7}
FORM = "a whole number and one of m, h, d, w, M, Q, Y, such as 30d"


def seconds(text: str) -> float | None:
    """None where the text is no duration."""
    match = _DURATION.fullmatch(text)
    return int(match[1]) * UNITS_S[match[2]] if match else None


def short(duration_s: float) -> str:
    """As Prometheus writes it, in the largest unit that fits: ``1h``, ``3d``."""
    for unit in ("d", "h", "m"):
        if duration_s >= UNITS_S[unit] and duration_s % UNITS_S[unit] == 0:
            return f"{duration_s / UNITS_S[unit]:.0f}{unit}"
    return f"{duration_s:.0f}s"


def zone(name: str) -> tzinfo:
    """A time zone of the IANA data base. Raises `ZoneInfoNotFoundError`, `ValueError` or `OSError` without one.

    Everybody has UTC, also a system without the data base.
    """
    return UTC if name == "UTC" else ZoneInfo(name)


def period_start(start: datetime, duration: str, now: datetime) -> datetime:
    """When the calendar-aligned period began that ``now`` is in; ``start`` itself where that is still to come.

    Months, weeks and days are those of the clocks in the zone of ``start``: a day in which they are changed has 23 or
    25 hours. Hours and minutes are as long as they are.
    """
    match = _DURATION.fullmatch(duration)
    assert match is not None
    number, unit = int(match[1]), match[2]
    # Of two times in one zone Python compares what the clocks show; of times in two zones, the instants.
    now = now.astimezone(UTC)
    if now <= start:
        return start
    there = now.astimezone(start.tzinfo)
    if unit in _MONTHS:
        step = number * _MONTHS[unit]
        count = ((there.year - start.year) * 12 + there.month - start.month) // step
        later = partial(_months_later, start, step)
    elif unit in _DAYS:
        step = number * _DAYS[unit]
        count = (there.date() - start.date()).days // step
        later = partial(_days_later, start, step)
    else:
        length_s = number * UNITS_S[unit]
        begin_s = start.timestamp() + (now.timestamp() - start.timestamp()) // length_s * length_s
        return datetime.fromtimestamp(begin_s, start.tzinfo)
    while count > 0 and later(count).astimezone(UTC) > now:
        count -= 1
    return later(count) if count > 0 else start


def _days_later(start: datetime, days: int, times: int) -> datetime:
    return start + timedelta(days=days * times)


def _months_later(start: datetime, months: int, times: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months * times, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, calendar.monthrange(year, month + 1)[1]))
