"""OpenSLO's durations: a whole number and one letter, ``5m``, ``12h``, ``4w``, ``1M``."""

from __future__ import annotations

import calendar
import re
from datetime import datetime

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


def period_start(start: datetime, duration: str, now: datetime) -> datetime:
    """When the calendar-aligned period began that ``now`` is in; ``start`` itself where that is still to come."""
    match = _DURATION.fullmatch(duration)
    assert match is not None
    number, unit = int(match[1]), match[2]
    if now <= start:
        return start
    if unit not in _MONTHS:
        length_s = number * UNITS_S[unit]
        return datetime.fromtimestamp(
            start.timestamp() + (now.timestamp() - start.timestamp()) // length_s * length_s, start.tzinfo
        )
    step = number * _MONTHS[unit]
    count = max(0, ((now.year - start.year) * 12 + now.month - start.month) // step)
    while count and _months_later(start, count * step) > now:
        count -= 1
    return _months_later(start, count * step)


def _months_later(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, calendar.monthrange(year, month + 1)[1]))
