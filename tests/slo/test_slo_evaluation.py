"""SLIs over histories: what is good, what is no event, three budgeting methods, percentiles twice, token deadlines."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "checkers"))
from made_up import (
    PHASES,
    answered,
    at,
    cancelled,
    changed,
    cut,
    golden,
    history,
    many,
    observed,
    refused,
    silent,
)

from servedrill.checkers.finding import Answer
from servedrill.checkers.recovery import GoodputRecovers, SloMet
from servedrill.history import events as e
from servedrill.judging.timeline import timeline
from servedrill.slo.evaluate import attained, events, goodput_per_s, missed, percentiles, series
from servedrill.slo.measures import COUNTS, MEASURES, RATES, VALUES, token_deadlines
from servedrill.slo.objectives import Objective
from servedrill.slo.quality import calibration_error, logprob_drift_nats
from servedrill.slo.slo import Sli, Slo, event_of, slos_of

SPAN: dict[str, Any] = {"start_ns": at(0), "end_ns": at(12)}


def slo(measure: str, *, target: float = 0.9, cls: str = "chat", **more: Any) -> Slo:
    """An SLO of one measure."""
    own = {name: more.pop(name) for name in ("op", "limit", "limits", "observed") if name in more}
    return Slo(name=f"{cls}-{measure}", sli=Sli(measure=measure, cls=cls, **own), target=target, **more)


TTFT = slo("ttft_s", op="lte", limit=0.5)


def test_failures_are_bad_and_cancels_are_nothing() -> None:
    """A refusal, a cut and a silence are bad events; what the drill hung up on itself is none."""
    requests = [answered(1), answered(2, ttft_s=0.6), refused(3), cut(4), silent(1), cancelled(5), cancelled(6, kept=0)]
    tally = attained(TTFT, requests, **SPAN)
    assert (tally.good, tally.total) == (1, 5)
    assert [request.id for request in missed(TTFT, requests)] == [request.id for request in requests[1:5]]


def test_what_has_no_value_is_no_event() -> None:
    """TPOT of a single token, which is not good either; TTFT of an answer that is not streamed."""
    tpot = slo("tpot_s", op="lte", limit=0.1)
    assert attained(tpot, [answered(1, tokens=1)], **SPAN).total == 0
    assert attained(tpot, [answered(1, tokens=1), answered(2)], **SPAN).ratio == 1
    assert attained(TTFT, [answered(1, stream=False)], **SPAN).total == 0


def test_attainment_counts_every_limit() -> None:
    """One request is good when it keeps all of them."""
    good = slo("good_ratio", limits=Objective(ttft_s=0.5, tpot_s=0.05, max_stall_s=1))
    requests = [
        answered(1),
        answered(2, ttft_s=0.6),
        answered(3, gap_s=0.1),
        answered(4, tokens=3, gap_s=1.5),
        refused(5),
    ]
    assert (attained(good, requests, **SPAN).good, attained(good, requests, **SPAN).total) == (1, 5)
    assert attained(slo("availability_ratio"), requests, **SPAN).ratio == 0.8
    assert goodput_per_s(requests, good.sli.limits, seconds=12) == pytest.approx(1 / 12)


def test_golden_questions_are_matched_exactly() -> None:
    """A wrong answer and none at all are both not right; other requests were not asked."""
    requests = [golden(1, 1), golden(2, 2, right=False), changed(golden(3, 3), failure="cut"), answered(4)]
    tally = attained(slo("golden_ratio", cls="golden"), requests, **SPAN)
    assert (tally.good, tally.total) == (1, 3)


def test_observations_of_a_drill_are_judged() -> None:
    """Drift and calibration are what a drill measured; one that could not be measured is bad."""
    drift = slo("observed", cls="", op="lte", limit=0.05, observed="drift")
    seen = [observed("drift", value, t=t) for t, value in ((1, 0.01), (2, 0.2), (3, math.nan))]
    tally = attained(drift, [], **SPAN, observed=[*seen, observed("other", 9, t=1)])
    assert (tally.good, tally.total) == (1, 3)


def test_three_budgeting_methods() -> None:
    """A burst of failures in one second: a share of requests, one bad slice, or the mean of slices."""
    requests = [answered(t) for t in range(9)] + [refused(9 + n / 1000) for n in range(91)]
    span = {"start_ns": at(0), "end_ns": at(10)}
    availability = slo("availability_ratio")
    assert attained(availability, requests, **span).ratio == 0.09
    slices = slo("availability_ratio", method="Timeslices", slice_s=1.0, slice_target=0.99)
    assert attained(slices, requests, **span).ratio == 0.9
    means = slo("availability_ratio", method="RatioTimeslices", slice_s=5.0)
    assert attained(means, requests, **span).ratio == pytest.approx((1 + 4 / 95) / 2)


def test_rates_are_judged_slice_by_slice() -> None:
    """Tokens by when they came, good requests by when they were due; a slice without a request says nothing."""
    requests = [answered(t, tokens=10, ttft_s=0.1, gap_s=0.01) for t in (0, 1, 2)] + [answered(6, tokens=4)]
    tokens = slo("tokens_per_s", op="gte", limit=10, method="Timeslices", slice_s=1.0, slice_target=1.0)
    tally = attained(tokens, requests, **SPAN)
    assert (tally.good, tally.total) == (3, 4)
    goodput = slo("goodput_per_s", op="gte", limit=1, method="Timeslices", slice_s=2.0, slice_target=1.0)
    tally = attained(goodput, requests, **SPAN)
    assert (tally.good, tally.total) == (1, 3)


@pytest.mark.parametrize(("oracle", "good"), [("formula", 3), ("frames", 0), ("recorded", 0)])
def test_what_came_is_what_counts(oracle: str, good: int) -> None:
    """A hundred tokens that the server counts in ten pieces are ten, where nobody can check its count; taken at its
    word they are what it says."""
    requests = [answered(t, tokens=10, ttft_s=0.1, gap_s=0.01, completion_tokens=100) for t in (0, 1, 2)]
    told = history(*requests, promises={"oracle": oracle}).requests()
    tokens = slo("tokens_per_s", op="gte", limit=50, method="Timeslices", slice_s=1.0, slice_target=1.0)
    assert attained(tokens, told, **SPAN).good == good
    assert attained(tokens, told.trusted, **SPAN).good == 3
    fast = slo("tpot_s", limit=0.005)
    assert attained(fast, told, **SPAN).good == good
    assert attained(fast, told.trusted, **SPAN).good == 3


def test_token_deadlines_are_the_fluidity_index() -> None:
    """What came early may be used up later; a stall misses every deadline in it, and they begin anew after it."""
    limits = Objective(ttft_s=0.5, tpot_s=0.1)
    assert token_deadlines(answered(1, tokens=5, ttft_s=0.4, gap_s=0.1), limits) == (5, 5)
    ahead = changed(answered(1, tokens=4, ttft_s=0.1), gaps_ns=[10_000_000, 10_000_000, 500_000_000])
    assert token_deadlines(ahead, limits) == (4, 4)  # due at 0.8 s, came at 0.62 s
    stalled = changed(answered(1, tokens=4, ttft_s=0.5), gaps_ns=[100_000_000, 450_000_000, 100_000_000])
    assert token_deadlines(stalled, limits) == (3, 7)  # 0.35 s late: its own deadline and three that passed meanwhile
    assert token_deadlines(answered(1, tokens=1, ttft_s=0.75), limits) == (0, 3)
    met, total = token_deadlines(silent(1, after_s=1.05), limits)
    assert (met, total) == (0, 6)
    fluid = slo("fluidity_ratio", op="gte", limit=0.9, limits=limits)
    assert attained(fluid, [answered(1), stalled, silent(2)], **SPAN).good == 1


def test_percentiles_come_twice() -> None:
    """With failures as the worst values, and of those that survived; where more is better the worst is the least."""
    requests = [answered(1, ttft_s=index / 100) for index in range(1, 96)] + [refused(2)] * 5
    p95 = percentiles(requests, "ttft_s", 95)
    assert (p95.all, p95.survivors) == (pytest.approx(0.95), pytest.approx(0.91))
    assert percentiles(requests, "ttft_s", 99).all == math.inf
    fluid = percentiles(requests, "fluidity_ratio", 99, limits=Objective(ttft_s=1, tpot_s=1))
    assert (fluid.all, fluid.survivors) == (-math.inf, 1)
    assert math.isnan(percentiles([], "ttft_s", 50).all)


# ---- checkers

GIVEN = [TTFT, slo("availability_ratio", target=0.9), slo("availability_ratio", target=0.5, agreement="sla")]


def given_to(*told: Any, slos: list[Slo] = GIVEN) -> Any:
    return history(event_of(slos, t_ns=at(0), source="file"), *PHASES, *told)


def test_checkers_judge_by_what_the_history_was_given() -> None:
    """A strict file makes red what the built-in objectives let pass, and the other way round."""
    slow = many(20, 0, 4, ttft_s=0.6)
    met = SloMet(window="baseline", classes=["chat"])
    assert met(history(*PHASES, *slow)).answer is Answer.PASS
    strict = met(given_to(*slow))
    assert strict.answer is Answer.FAIL
    assert (
        "chat chat-ttft_s 0.0% of 20 (0.0% for sure), chat chat-availability_ratio 100.0% of 20 (86.1% for sure)"
        in strict.observed
    )
    assert strict.evidence
    loose = [slo("ttft_s", op="lte", limit=3.0)]
    very_slow = many(20, 0, 4, ttft_s=2.0)
    assert met(history(*PHASES, *very_slow)).answer is Answer.FAIL
    assert met(given_to(*very_slow, slos=loose)).answer is Answer.PASS


def test_goodput_and_recovery_time_follow_the_file() -> None:
    """One request is good by the strictest limits of its class."""
    told = [*many(40, 8, 10, ttft_s=0.6), *many(40, 10, 12)]
    recovers = GoodputRecovers(within_s=1.0)
    assert recovers(history(*PHASES, *told)).answer is Answer.PASS
    assert recovers(given_to(*told)).answer is Answer.FAIL
    from made_up import fault

    assert timeline(history(*PHASES, *fault(), *told)).recover_s == 0.0
    assert timeline(given_to(*fault(), *told)).recover_s == 2.0


def test_a_missed_slo_breaks_no_sla() -> None:
    """They are judged apart, each by its own target; without an SLA there is nothing to say."""
    told = [*many(14, 0, 4), *many(6, 0, 4, refused)]
    assert SloMet(window="baseline", classes=["chat"])(given_to(*told)).answer is Answer.FAIL
    sla = SloMet(window="baseline", classes=["chat"], agreement="sla")
    assert sla(given_to(*told)).answer is Answer.PASS
    assert sla(given_to(*many(20, 0, 4, refused))).answer is Answer.FAIL
    assert sla(history(*PHASES, *told)).answer is Answer.INCONCLUSIVE


def test_a_class_has_its_own_slos_or_its_familys() -> None:
    """And those of all classes where there is neither."""
    everyone, chat, eu = (slo("ttft_s", cls=cls, op="lte", limit=1) for cls in ("", "chat", "chat-eu"))
    assert slos_of("chat-eu", [everyone, chat, eu]) == [eu]
    assert slos_of("chat-us", [everyone, chat, eu]) == [chat]
    assert slos_of("code", [everyone, chat, eu]) == [everyone]
    (complete,) = slos_of("code", [chat])
    assert (complete.sli.measure, complete.target) == ("good_ratio", 0.95)


# ---- properties

BUILDERS = st.sampled_from([answered, refused, cut, silent, cancelled])
REQUESTS = st.lists(
    st.tuples(BUILDERS, st.floats(0, 11), st.floats(0.001, 2), st.integers(2, 6)).map(
        lambda drawn: drawn[0](drawn[1], ttft_s=drawn[2], tokens=drawn[3])
    ),
    max_size=25,
)
LIMITS = Objective(ttft_s=0.5, tpot_s=0.03, max_stall_s=1)


def any_slo(measure: str, method: str, limit: float) -> Slo:
    rate = measure in RATES
    return slo(
        measure,
        cls="",
        op="gte" if rate or measure == "fluidity_ratio" else "lte",
        limit=limit,
        limits=LIMITS,
        method="Timeslices" if rate else method,
        slice_s=1.5,
        slice_target=0.8,
    )


SLOS = st.builds(
    any_slo,
    st.sampled_from([one for one in (*MEASURES, *COUNTS) if one != "observed"]),
    st.sampled_from(["Occurrences", "Timeslices", "RatioTimeslices"]),
    st.floats(0.001, 3),
)


@settings(max_examples=80, deadline=None)
@given(REQUESTS, SLOS)
def test_good_is_never_more_than_all(requests: list[e.RequestRecord], one: Slo) -> None:
    """By any measure and method; no request that the drill cancelled changes anything; slices add up to the events."""
    tally = attained(one, requests, **SPAN)
    assert 0 <= tally.good <= tally.total
    kept = [request for request in requests if request.cancelled_ns is None]
    assert attained(one, kept, **SPAN) == tally
    found = events(one, requests, **SPAN)
    for bucket_s in (0.7, 5.0, 100.0):
        slices = series(found, bucket_s=bucket_s, **SPAN)
        assert sum(part.total for part in slices) == pytest.approx(found.counted()[1])
        assert sum(part.good for part in slices) == pytest.approx(found.counted()[0])


@settings(max_examples=80, deadline=None)
@given(REQUESTS, st.sampled_from(sorted(VALUES)), st.floats(0, 100))
def test_percentiles_with_failures_are_never_better(requests: list[e.RequestRecord], measure: str, p: float) -> None:
    """Than those of the survivors alone, which leave the failures out."""
    twice = percentiles(requests, measure, p, limits=LIMITS)
    if math.isnan(twice.survivors):
        return
    assert twice.all <= twice.survivors if VALUES[measure].more_is_better else twice.all >= twice.survivors


@settings(max_examples=60, deadline=None)
@given(REQUESTS, st.floats(0.05, 2), st.floats(0.001, 0.5))
def test_deadlines_met_are_never_more_than_there_were(
    requests: list[e.RequestRecord], ttft_s: float, tpot_s: float
) -> None:
    """And a later deadline is never missed more often at the first token."""
    for request in requests:
        met, total = token_deadlines(request, Objective(ttft_s=ttft_s, tpot_s=tpot_s))
        assert 0 <= met <= total
        assert met <= len(request.gaps_ns) + 1


# ---- model quality


def test_drift_and_calibration() -> None:
    """Drift is nothing for the same log-probabilities, and calibration is off by how much surer it is than right.

    One that is as sure as it is right has no error, one that is always sure has its mistakes.
    """
    assert logprob_drift_nats([-0.1, -2.0], [-0.1, -2.0]) == 0
    assert logprob_drift_nats([-0.1, -2.0], [-0.2, -1.7]) == pytest.approx(0.2)
    assert math.isnan(logprob_drift_nats([], []))
    assert calibration_error([(0.75, True)] * 3 + [(0.75, False)]) == pytest.approx(0)
    assert calibration_error([(1.0, True)] * 6 + [(1.0, False)] * 4) == pytest.approx(0.4)
    assert math.isnan(calibration_error([]))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_calibration_error_is_a_share(answers: list[tuple[float, bool]]) -> None:
    """Between 0 and 1, in one bin never more than in ten."""
    error = calibration_error(answers)
    assert -1e-9 <= error <= 1 + 1e-9
    assert calibration_error(answers, bins=1) <= error + 1e-9
