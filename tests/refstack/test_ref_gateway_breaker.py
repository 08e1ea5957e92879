"""When a gateway stops sending to an upstream, and how it finds its way back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ref_outcomes import CANCELLED, OK, failed

from servedrill.refstack.config import GatewayLimits
from servedrill.refstack.gateway.breaker import CLOSED, HALF_OPEN, OPEN, CircuitBreaker
from servedrill.refstack.gateway.outcome import Outcome

LIMITS = GatewayLimits()
NEUTRAL = [CANCELLED, failed(status=400), failed(status=404), failed(status=429), failed("stale")]
AGAINST = [
    failed("reset"),
    failed("connect"),
    failed("first_token_timeout"),
    failed("cut"),
    failed(status=500),
    failed(status=503),
]


@pytest.mark.parametrize("outcome", AGAINST, ids=lambda o: f"{o.kind}-{o.status}")
def test_a_breaker_opens_after_failures_in_a_row(outcome: Outcome) -> None:
    """A breaker opens at the third failure in a row; a success in between begins the count again."""
    breaker = CircuitBreaker(LIMITS)
    for each in (outcome, outcome, OK, outcome, outcome):
        breaker.record(each, 1.0)
        assert breaker.allows("a", 1.0)
    breaker.record(outcome, 1.0)
    assert not breaker.allows("a", 1.5)
    assert breaker.allows("b", 1.5)


@pytest.mark.parametrize("outcome", NEUTRAL, ids=lambda o: f"{o.kind}-{o.status}")
def test_what_says_nothing_of_an_upstream_counts_neither_way(outcome: Outcome) -> None:
    """A caller's own fault neither opens a breaker nor makes good for failures."""
    breaker = CircuitBreaker(LIMITS)
    for _ in range(50):
        breaker.record(outcome, 1.0)
    assert breaker.circuit("a").state == CLOSED
    for _ in range(2):
        breaker.record(failed(), 1.0)
        breaker.record(outcome, 1.0)
    breaker.record(failed(), 1.0)
    assert breaker.circuit("a").state == OPEN


def half_open(now: float = 10.0) -> CircuitBreaker:
    breaker = CircuitBreaker(LIMITS)
    for _ in range(LIMITS.breaker_failures):
        breaker.record(failed(), now - LIMITS.breaker_open_s)
    assert breaker.allows("a", now)
    assert breaker.circuit("a").state == HALF_OPEN
    return breaker


def test_one_request_probes_a_half_open_breaker() -> None:
    """While a probe is under way no other request is let through; its answer closes the breaker."""
    breaker = half_open()
    breaker.began("a")
    assert not breaker.allows("a", 10.0)
    breaker.record(OK, 10.1)
    assert breaker.allows("a", 10.1)
    assert breaker.circuit("a").state == CLOSED
    breaker.record(failed(), 10.2)
    assert breaker.circuit("a").state == CLOSED


def test_an_answer_to_an_older_request_closes_nothing() -> None:
    """A stream that began before the last failure does not close the breaker."""
    breaker = half_open()
    breaker.record(Outcome(upstream="a", kind="ok", began=8.0), 10.0)
    assert breaker.circuit("a").state == HALF_OPEN
    breaker.record(Outcome(upstream="a", kind="ok", began=9.5), 10.0)
    assert breaker.circuit("a").state == CLOSED


def test_a_failed_probe_opens_the_breaker_again() -> None:
    """After a failed probe the breaker stays open for as long as the first time."""
    breaker = half_open()
    breaker.began("a")
    breaker.record(failed(), 10.5)
    assert not breaker.allows("a", 11.4)
    assert breaker.allows("a", 11.6)


def test_a_probe_that_said_nothing_lets_the_next_one_probe() -> None:
    """A probe whose client hung up does not keep the breaker half open."""
    breaker = half_open()
    breaker.began("a")
    breaker.record(CANCELLED, 10.1)
    assert breaker.allows("a", 10.1)
    assert breaker.circuit("a").state == HALF_OPEN


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 0.6), st.sampled_from(["try", "ok", "fail", "neutral"])), max_size=80))
def test_a_breaker_never_gets_stuck(moments: list[tuple[float, str]]) -> None:
    """However tries end, there is at most one probe, nothing passes an open breaker, and it closes at last."""
    breaker, now = CircuitBreaker(LIMITS), 100.0
    under_way: list[float] = []
    kinds = {"ok": "ok", "fail": "reset", "neutral": "cancelled"}
    for wait_s, what in moments:
        now += wait_s
        circuit = breaker.circuit("a")
        if what == "try":
            opened, state = circuit.opened, circuit.state
            if breaker.allows("a", now):
                assert state != OPEN or now - opened >= LIMITS.breaker_open_s
                breaker.began("a")
                under_way.append(now)
                assert circuit.state == CLOSED or not breaker.allows("a", now)
        elif under_way:
            breaker.record(Outcome(upstream="a", kind=kinds[what], began=under_way.pop(0)), now)
    for _ in under_way:
        breaker.record(CANCELLED, now)
    now += LIMITS.breaker_open_s
    assert breaker.allows("a", now)
    breaker.began("a")
    breaker.record(OK, now)
    assert breaker.circuit("a").state == CLOSED
