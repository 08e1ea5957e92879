"""Periods by the calendar: of the clocks in the file's time zone, whatever is done to them twice a year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servedrill.commands.main import main
from servedrill.slo.openslo import read_slos
from servedrill.slo.slo import Sli, Slo
from tests.worlds.slos import changed, written

NEW_YORK = "America/New_York"


def by_calendar(folder: Path, duration: str, start: str, zone: str) -> Slo:
    """The plain SLO, counted from then on in periods of that length."""
    calendar = {"startTime": start, "timeZone": zone}
    window = {"duration": duration, "isRolling": False, "calendar": calendar}
    (slo,) = read_slos(written(folder, changed("spec.timeWindow", [window]))).slos
    return slo


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("duration", "start", "zone", "now", "began"),
    [
        # In July New York is four hours behind UTC, in January, when the periods were begun, five.
        ("1M", "2026-01-01 00:00:00", NEW_YORK, "2026-07-01 04:30", "2026-07-01 04:00"),
        ("1M", "2026-01-01 00:00:00", NEW_YORK, "2026-07-15 00:00", "2026-07-01 04:00"),
        ("1M", "2026-01-01 00:00:00", NEW_YORK, "2026-07-01 03:59", "2026-06-01 04:00"),
        ("1w", "2022-01-01 12:00:00", NEW_YORK, "2026-07-01 15:00", "2026-06-27 16:00"),
        # The day of 23 hours ends an hour earlier, that of 25 an hour later.
        ("1d", "2026-03-01 00:00:00", NEW_YORK, "2026-03-09 03:59", "2026-03-08 05:00"),
        ("1d", "2026-03-01 00:00:00", NEW_YORK, "2026-03-09 04:00", "2026-03-09 04:00"),
        ("1d", "2026-03-01 00:00:00", NEW_YORK, "2026-11-02 04:59", "2026-11-01 04:00"),
        ("1d", "2026-03-01 00:00:00", NEW_YORK, "2026-11-02 05:00", "2026-11-02 05:00"),
        # Hours are as long as they are.
        ("12h", "2026-03-07 12:00:00", NEW_YORK, "2026-03-09 04:30", "2026-03-08 17:00"),
        # East of Greenwich it is the next month before it is in UTC.
        ("1M", "2026-01-01 00:00:00", "Asia/Tokyo", "2026-06-30 16:00", "2026-06-30 15:00"),
        ("1Q", "2026-01-01 00:00:00", "Europe/Berlin", "2026-06-30 22:30", "2026-06-30 22:00"),
        ("1M", "2026-01-31 00:00:00", "UTC", "2026-03-01 00:00", "2026-02-28 00:00"),
        # A start that has an offset is that instant.
        ("1M", "2026-01-01T05:00:00Z", NEW_YORK, "2026-07-15 00:00", "2026-07-01 04:00"),
        # Before the first period it is the first.
        ("1M", "2026-08-01 00:00:00", NEW_YORK, "2026-07-15 00:00", "2026-08-01 04:00"),
    ],
)
def test_a_period_begins_when_the_clocks_there_say_so(
    duration: str, start: str, zone: str, now: str, began: str, tmp_path: Path
) -> None:
    """By the offset of that day, not by that of the day when the first period began."""
    assert by_calendar(tmp_path, duration, start, zone).period_begin(utc(now)) == utc(began)


@settings(max_examples=200, deadline=None)
@given(
    zone=st.sampled_from([NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "Asia/Tokyo", "UTC"]),
    unit=st.sampled_from("dwMQY"),
    number=st.integers(1, 5),
    start=st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1)),
    after_s=st.integers(0, 6 * 365 * 86400),
)
def test_now_is_in_its_period(zone: str, unit: str, number: int, start: datetime, after_s: int) -> None:
    """It began before, the clocks showed the time of the first start, and the next one is still to come."""
    begun = start.replace(hour=12, microsecond=0, tzinfo=ZoneInfo(zone))
    slo = Slo(
        name="any",
        sli=Sli(measure="ttft_s"),
        target=0.9,
        calendar_start=begun.isoformat(),
        calendar_zone=zone,
        calendar_unit=f"{number}{unit}",
    )
    now = begun.astimezone(UTC) + timedelta(seconds=after_s)
    began = slo.period_begin(now)
    assert began.astimezone(UTC) <= now
    assert began.timetz() == begun.timetz()
    longest = {"d": 1, "w": 7, "M": 31, "Q": 92, "Y": 366}[unit] * number
    assert now - began.astimezone(UTC) < timedelta(days=longest, hours=1)
    assert slo.period_begin(began) == began


def test_slo_show_names_the_zone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not the offset that it has for a part of the year."""
    slo = by_calendar(tmp_path, "1M", "2026-01-01 00:00:00", NEW_YORK)
    assert slo.calendar_zone == NEW_YORK
    assert main(["slo", "show", str(tmp_path / "slo.yaml")]) == 0
    assert "each 1M of the calendar since 2026-01-01 00:00 America/New_York" in capsys.readouterr().out
