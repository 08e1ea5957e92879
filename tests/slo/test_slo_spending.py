"""What drills spend of error budgets, and which alerts they would raise."""

from __future__ import annotations

import itertools
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "checkers"))
from made_up import answered, at, cancelled, history, many, observed, refused

from servedrill.slo.budget import budget_of, burn, spend
from servedrill.slo.evaluate import Tally
from servedrill.slo.replay import replay
from servedrill.slo.slo import BurnCondition, Sli, Slo, event_of
from servedrill.slo.spending import drill_replay, spending, spendings
from servedrill.slo.windows import burn_alerts, period_s_min

D = 86400.0
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
SLO = Slo(name="answers", sli=Sli(measure="availability_ratio", cls="chat"), target=0.999)
CHAT = Path(__file__).parents[2] / "fixtures" / "data" / "slos" / "chat.yaml"


def outage(seconds: float, *, slice_s: float = 1.0, rate: float = 10.0) -> list[Tally]:
    """Everything bad."""
    return [Tally(t_ns=0, good=0, total=rate * slice_s) for _ in range(round(seconds / slice_s))]


# ---- which alert would page


@pytest.mark.parametrize(("seconds", "pages"), [(50, False), (51, False), (53, True), (60, True)])
def test_an_outage_pages_when_it_has_spent_two_percent(seconds: float, pages: bool) -> None:
    """At 99.9% a full outage has to last 14.4 x 0.001 x 1 h = 51.84 s; the slower alerts take longer than that."""
    fired = replay(outage(seconds), slice_s=1.0, seconds=seconds, target=0.999, alerts=burn_alerts(30 * D))
    assert [one.fired_s is not None for one in fired] == [pages, False, False, False]
    assert fired[0].burn_max == pytest.approx(seconds / 3600 / 0.001, rel=0.01)


def test_a_page_resolves_with_its_short_window() -> None:
    """Five minutes after a minute of outage, not an hour."""
    (page, *_) = replay(outage(60), slice_s=1.0, seconds=60, target=0.999, alerts=burn_alerts(30 * D))
    assert page.fired_s is not None
    assert page.resolved_s is not None
    assert 51.84 <= page.fired_s <= 60
    assert 300 < page.resolved_s <= 375


def test_pyrras_for_asks_for_more() -> None:
    """Its quickest alert waits for two minutes above the threshold of 14."""
    fired = {
        seconds: replay(
            outage(seconds), slice_s=1.0, seconds=seconds, target=0.999, alerts=burn_alerts(28 * D, "pyrra")
        )[0]
        for seconds in (40, 60)
    }
    assert fired[40].fired_s is None  # 40 s of 3600: burn 11
    assert fired[60].fired_s == pytest.approx(14 * 0.001 * 3600 + 120, abs=20)


def test_a_drill_without_an_event_raises_nothing() -> None:
    """Nor does a clean one."""
    for series in ([], [Tally(t_ns=0, good=0, total=0)], [Tally(t_ns=0, good=5, total=5)]):
        assert all(
            one.fired_s is None for one in replay(series, slice_s=1, seconds=1, target=0.99, alerts=burn_alerts(30 * D))
        )


# ---- what a drill spends


def test_spend_of_a_history() -> None:
    """Bad ratio over the target's, times the drill's share of the period; the drill's cancels change nothing."""
    told = history(*many(90, 0, 9), *many(10, 9, 9.9, refused, after_s=0.1), cancelled(5))
    spent = spending(SLO, told)
    assert (spent.bad_ratio, spent.seconds) == (pytest.approx(0.1), pytest.approx(9.91, abs=0.05))
    assert spent.spend == pytest.approx(spend(0.1, 0.999, seconds=spent.seconds, period_s=30 * D))
    other = spending(SLO, history(*many(10, 0, 9, cls="code")))
    assert (other.total, other.bad_ratio, other.seconds, other.spend) == (0, 0, 0, 0)
    assert drill_replay(SLO, told)[0].burn_max > 0


def test_every_slo_of_a_history_is_accounted_for() -> None:
    """The built-in ones or those of its file; the file's own alerts replace the usual ones, and an SLA raises none."""
    told = [*many(30, 0, 9), *many(70, 0, 9.9, refused)]
    assert [(one.slo, one.total) for one in spendings(history(*told))] == [("chat", 100), ("code", 0), ("summary", 0)]
    paged = msgspec.structs.replace(
        SLO, conditions=[BurnCondition(name="Quick", severity="critical", factor=2, window_s=1800)]
    )
    agreed = msgspec.structs.replace(SLO, name="agreed", agreement="sla")
    unheard = msgspec.structs.replace(SLO, name="queries", sli=Sli(ratio_query="up"))
    found = spendings(history(event_of([paged, agreed, unheard], t_ns=at(0), source="f.yaml"), *told))
    assert [(one.slo, [fired.alert.name for fired in one.alerts]) for one in found] == [
        ("answers", ["Quick"]),
        ("agreed", []),
    ]
    assert found[0].burn == pytest.approx(700)
    assert found[0].alerts[0].fired_s is not None


def test_what_a_drill_measured_itself_counts_before_and_after_its_traffic() -> None:
    """Golden questions are asked while nothing else is."""
    drift = Slo(name="drift", sli=Sli(measure="observed", observed="drift", op="lte", limit=0.1), target=0.5)
    told = history(observed("drift", 0.0, t=0.5), *many(10, 2, 9), observed("drift", 0.4, t=11))
    assert (spending(drift, told).total, spending(drift, told).bad_ratio) == (2, 0.5)


# ---- properties

RATIOS = st.floats(0, 1)
TARGETS = st.floats(0, 0.99999)
PERIODS = st.floats(6 * D, 400 * D)
SERIES = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: Tally(t_ns=0, good=min(pair), total=max(pair))),
    min_size=1,
    max_size=20,
)


@settings(deadline=None)
@given(RATIOS, TARGETS, st.floats(0, 400 * D), PERIODS)
def test_spend_is_never_negative(bad_ratio: float, target: float, seconds: float, period_s: float) -> None:
    """It grows with everything that is bad, and a whole period at a burn rate of 1 spends exactly all."""
    share = spend(bad_ratio, target, seconds=seconds, period_s=period_s)
    assert share >= 0
    assert share <= spend(1.0, target, seconds=seconds, period_s=period_s) * (1 + 1e-9)
    assert spend(1 - target, target, seconds=period_s, period_s=period_s) == pytest.approx(1)
    assert budget_of("x", bad_ratio, target=target, period_s=period_s).spent == pytest.approx(burn(bad_ratio, target))


@settings(deadline=None)
@given(PERIODS, st.sampled_from(["sloth", "pyrra"]))
def test_windows_are_consistent(period_s: float, dialect: str) -> None:
    """The short one is within the long one, within the period; slower alerts look at longer windows.

    In Sloth's, the long window at its factor spends its share.
    """
    alerts = burn_alerts(period_s, dialect)
    assert period_s >= period_s_min(dialect)
    for alert in alerts:
        assert 0 < alert.short_s < alert.long_s < period_s
        assert alert.for_s < alert.long_s
    for quick, slow in itertools.pairwise(alerts):
        assert quick.factor > slow.factor
        assert quick.long_s < slow.long_s
        assert quick.short_s < slow.short_s
    if dialect == "sloth":
        shares = [spend(alert.factor * 0.01, 0.99, seconds=alert.long_s, period_s=period_s) for alert in alerts]
        assert shares == pytest.approx([0.02, 0.05, 0.1, 0.1])


@settings(max_examples=30, deadline=None)
@given(SERIES, st.floats(0.5, 0.9999), st.floats(0.5, 30))
def test_replay_is_consistent(series: list[Tally], target: float, slice_s: float) -> None:
    """An alert fires only above its factor, and resolves within its short window; no burn is more than all bad."""
    seconds = slice_s * len(series)
    for one in replay(series, slice_s=slice_s, seconds=seconds, target=target, alerts=burn_alerts(30 * D)):
        assert 0 <= one.burn_max <= burn(1.0, target) * (1 + 1e-9)
        if one.fired_s is not None:
            assert one.burn_max > one.alert.factor
            assert one.resolved_s is not None
            assert one.fired_s < one.resolved_s <= seconds + one.alert.short_s + 60
        else:
            assert one.burn_max <= one.alert.factor * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([answered, refused, cancelled]), st.floats(0, 11)), max_size=20), TARGETS)
def test_a_drills_spend_is_never_negative(drawn: list[tuple[Any, float]], target: float) -> None:
    """Whatever happened in it."""
    told = history(*(build(t) for build, t in drawn))
    one = Slo(name="x", sli=SLO.sli, target=target)
    spent = spending(one, told)
    assert 0 <= spent.bad_ratio <= 1
    assert spent.seconds >= 0
    assert spent.spend >= 0
    assert at(0) <= told.start_ns
