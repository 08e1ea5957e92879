"""Ten nights of a pipeline: the right ones are red, each for the right reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ci_world import Ended

pytest_plugins = ["pytester"]

REFUTED = "FAIL: RetriesSpread: Retries are spread. Seen: 2 of 9 answers wrong"


def quarantine(folder: Path, *, made: int, expires: int) -> None:
    """``swap`` in quarantine since and until so many days from now."""
    today = datetime.now(UTC).date()
    (folder / "quarantine.toml").write_text(
        '[[quarantine]]\ndrill = "swap"\nowner = "team-models"\nlink = "https://tracker.example/9"\n'
        f"made = {today + timedelta(days=made)}\nexpires = {today + timedelta(days=expires)}\n"
    )


def test_ten_nights(pytester: pytest.Pytester, night: Callable[..., Ended]) -> None:
    """A regression is red until it is mended; flakes of the machine are green and told; what is in quarantine gates
    when its time is over, and not before.
    """
    folder = pytester.path
    (folder / "pytest.ini").write_text("[pytest]\ndrill_quarantine = quarantine.toml\n")
    (folder / "quarantine.toml").write_text("# nothing\n")
    plans: list[dict[str, list[str]]] = [
        {},
        {"storm": ["inconclusive", "pass"]},  # a flake: the machine was busy
        {},
        {"spike": ["fail", "pass"]},  # the regression: another try would have hidden it
        {"spike": ["fail"], "storm": ["pass"]},
        {},
        {"storm": ["down", "pass"]},  # a flake: the stack was not up yet
        {"swap": ["fail"]},  # known, in quarantine
        {"swap": ["fail"]},  # the quarantine is over
        {},
    ]
    told = []
    for number, plan in enumerate(plans, start=1):
        if number == 8:
            quarantine(folder, made=-5, expires=20)
        if number == 9:
            quarantine(folder, made=-40, expires=-1)
        if number == 10:  # mended, and taken out
            (folder / "quarantine.toml").write_text("# nothing\n")
        ended = night(plan)
        told.append((ended.status, ended.result["reasons"], len(ended.result["tried_twice"])))
        if number == 8:
            assert "quarantined: swap, until " in ended.text and "team-models" in ended.summary
            assert ended.result["tests"]["drills/test_all.py::test_swap"] == "quarantined"
            assert not any("error" in {part.tag for part in case} for case in ended.junit.iter("testcase"))
    assert [status for status, _, _ in told] == [0, 0, 0, 1, 1, 0, 0, 0, 4, 0]
    assert [twice for _, _, twice in told] == [0, 1, 0, 0, 0, 0, 1, 0, 0, 0]
    assert told[3][1] == told[4][1] == [f"spike: {REFUTED}"]
    (expired,) = told[8][1]
    assert "quarantine.toml:6:11: quarantine[0].expires: swap has expired on " in expired
    assert all(reasons == [] for status, reasons, _ in told if status == 0)
