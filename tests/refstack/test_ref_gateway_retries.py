"""How often a gateway tries, how long it waits between two tries, and what it may spend on them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ref_outcomes import CANCELLED, KINDS, OK, failed

from servedrill.refstack.config import GatewayLimits
from servedrill.refstack.gateway.outcome import Outcome
from servedrill.refstack.gateway.retry import FullJitterRetry, RetryBudget

LIMITS = GatewayLimits()


@given(st.integers(1, 12), st.integers(0, 2**32), st.sampled_from([*KINDS, 500, 503, 502]))
def test_backoff_has_full_jitter_within_bounds(tries: int, seed: int, how: Any) -> None:
    """The wait is between 0 and a bound that doubles with each try up to a maximum."""
    limits = GatewayLimits(max_tries=100)
    outcome = failed(status=how) if isinstance(how, int) else failed(how)
    delay_s = FullJitterRetry(limits, random.Random(seed)).delay_s([outcome] * tries)
    assert delay_s is not None
    assert 0 <= delay_s <= min(limits.backoff_max_s, limits.backoff_base_s * 2**tries)


def test_backoff_spreads_over_all_of_it() -> None:
    """The waits spread over the whole interval, not around a fixed step."""
    retry = FullJitterRetry(LIMITS, random.Random(1))
    delays = [retry.delay_s([failed()]) or 0.0 for _ in range(500)]
    bound = LIMITS.backoff_base_s * 2
    assert min(delays) < bound * 0.05
    assert max(delays) > bound * 0.95


@pytest.mark.parametrize(
    "tries",
    [
        pytest.param([OK], id="answered"),
        pytest.param([CANCELLED], id="client-gone"),
        *(pytest.param([failed(status=status)], id=str(status)) for status in (400, 401, 403, 404, 409, 413, 422)),
        pytest.param([failed()] * 3, id="third-of-three"),
        pytest.param([failed(), failed(status=400)], id="400-at-last"),
    ],
)
def test_no_retry_that_could_not_help(tries: list[Outcome]) -> None:
    """There is no retry of a request's own fault, for a client that is gone, or beyond the limit of tries."""
    assert FullJitterRetry(LIMITS, random.Random(1)).delay_s(tries) is None


@pytest.mark.parametrize("how", [*KINDS, 408, 429, 500, 502, 503, 504])
def test_retries_that_could_help(how: Any) -> None:
    """Everything that another engine, or a moment, may make good is retried."""
    outcome = failed(status=how) if isinstance(how, int) else failed(how)
    assert FullJitterRetry(LIMITS, random.Random(1)).delay_s([outcome]) is not None


@given(st.floats(0.1, 10), st.floats(0, 10), st.integers(0, 100))
def test_a_429_is_waited_for_wherever_the_next_try_goes(asked_s: float, passed_s: float, seed: int) -> None:
    """A 429's Retry-After counts from its own end, also when another failure came after it."""
    retry = FullJitterRetry(GatewayLimits(max_tries=9), random.Random(seed))
    first = failed(status=429, retry_after_s=asked_s, ended=100.0)
    alone, later = retry.delay_s([first]), retry.delay_s([first, failed(ended=100.0 + passed_s)])
    assert alone is not None
    assert later is not None
    assert asked_s <= alone <= asked_s + 0.1
    assert max(0.0, asked_s - passed_s) - 1e-9 <= later <= max(0.0, asked_s - passed_s) + 0.2


def test_a_503_is_waited_for_at_the_one_that_said_it() -> None:
    """A 503's Retry-After holds for its sender alone; others may be tried at once."""
    retry = FullJitterRetry(LIMITS, random.Random(1))
    tries = [failed(status=503, upstream="a", retry_after_s=5.0, ended=100.0), failed(upstream="b", ended=101.0)]
    delay_s = retry.delay_s(tries)
    assert delay_s is not None
    assert delay_s <= 0.2
    assert retry.not_before(tries) == {"a": 105.0}


MOMENTS = st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=150)


@settings(max_examples=100)
@given(MOMENTS, st.floats(0, 1), st.floats(0, 3))
def test_retries_stay_within_their_budget(moments: list[tuple[float, bool]], ratio: float, min_per_s: float) -> None:
    """Retries never exceed a burst, a share of the requests, and a few a second, whenever they come."""
    budget = RetryBudget(GatewayLimits(retry_budget_ratio=ratio, retry_budget_min_per_s=min_per_s))
    now, deposits, granted = 100.0, 0, 0
    for wait_s, is_request in moments:
        now += wait_s
        if is_request:
            budget.deposit(now)
            deposits += 1
        elif budget.withdraw(now):
            granted += 1
        assert granted <= budget.burst + ratio * deposits + min_per_s * (now - 100.0) + 1e-6
        assert 0 <= budget.balance <= budget.burst


def test_a_spent_budget_refills() -> None:
    """A spent budget refills by the second and by requests."""
    budget = RetryBudget(GatewayLimits(retry_budget_ratio=0.5, retry_budget_min_per_s=1.0))
    assert [budget.withdraw(0.0) for _ in range(11)] == [True] * 10 + [False]
    assert not budget.withdraw(0.9)
    assert budget.withdraw(1.1)
    for _ in range(2):
        budget.deposit(1.1)
    assert budget.withdraw(1.1)
