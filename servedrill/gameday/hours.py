"""When a game day may run: hours of the week, and stretches of time in which nothing may start."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from zoneinfo import ZoneInfoNotFoundError

from servedrill.gameday.playbook import Exclusion
from servedrill.slo.durations import zone

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOURS_FORM = "days, hours and a zone, such as Mon-Fri 09:00-17:00 Europe/Berlin"
_HOURS = re.compile(r"(\w{3})(?:-(\w{3}))? (\d\d:\d\d)-(\d\d:\d\d)(?: (\S+))?")


@dataclass(frozen=True, slots=True)
class Hours:
    """Days of the week (0 is Monday) and the hours in them, in one zone."""

    days: frozenset[int]
    begin: time
    end: time
    zone: tzinfo

    @classmethod
    def parse(cls, text: str) -> Hours | None:
        """``Mon-Fri 09:00-17:00 Europe/Berlin``; without a zone in UTC. None where it cannot be read."""
        match = _HOURS.fullmatch(text.strip())
        if match is None or not {match[1], match[2] or match[1]} <= {*DAYS}:
            return None
        first, last = DAYS.index(match[1]), DAYS.index(match[2] or match[1])
        days = frozenset((first + day) % 7 for day in range((last - first) % 7 + 1))
        try:
            begin, end = time.fromisoformat(match[3]), time.fromisoformat(match[4])
            return cls(days, begin, end, zone(match[5] or "UTC"))
        except (ValueError, ZoneInfoNotFoundError, OSError):
            return None

    def __contains__(self, instant: datetime) -> bool:
        """Hours that end before they begin go on into the next day."""
        there = instant.astimezone(self.zone)
        if self.begin <= self.end:
            return there.weekday() in self.days and self.begin <= there.time() < self.end
        if there.time() >= self.begin:
            return there.weekday() in self.days
        return (there.weekday() - 1) % 7 in self.days and there.time() < self.end


def excluded(exclusions: Sequence[Exclusion], now: datetime) -> Exclusion | None:
    """The one that ``now`` is in. A day reaches from its first to its last instant, in UTC."""
    for one in exclusions:
        if _instant(one.begin, time.min) <= now <= _instant(one.until, time.max):
            return one
    return None


def _instant(text: str, of_day: time) -> datetime:
    told = datetime.fromisoformat(text)
    if len(text) <= len("2027-01-02"):
        told = datetime.combine(told.date(), of_day)
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)
