"""Promises that nobody made: traffic is shaped by their defaults, and no claim is."""

from __future__ import annotations

import msgspec
import pytest

from servedrill.history.events import Observed
from servedrill.history.guesses import guess, guessed, plainly, with_guesses
from servedrill.history.lines import encode
from servedrill.history.promises import LIMITS, MEASURED, NotPromised, Promises, as_made, made, with_assumed
from servedrill.load.arrivals import Burst
from servedrill.load.plan import RequestClass

BARE = with_assumed(Promises(model="m", slots=9), ("model", "slots"))


def test_what_is_computed_from_a_guess_is_one() -> None:
    """On either side of a sum, a product or a quotient, and of several of them."""
    p = with_guesses(BARE)
    for value in (0.8 * p.idle_timeout_s, p.idle_timeout_s + 1, 3 - p.idle_timeout_s, p.idle_timeout_s / 2):
        assert guessed(value) == {"idle_timeout_s"}
    assert guessed(p.dns_ttl_s + p.dns_detect_s) == {"dns_ttl_s", "dns_detect_s"}
    assert guessed(p.max_n // 2) == {"max_n"} and isinstance(p.max_n + 1, int)
    assert 0.8 * p.idle_timeout_s == pytest.approx(0.8)


def test_what_is_stated_is_none() -> None:
    p = with_guesses(BARE)
    assert p.slots == 9 and not guessed(p.slots + p.slots // 2)
    assert not guessed(p.pace) and not guessed(p.model)
    assert guess(True, frozenset({"x"})) is True


def test_guesses_can_be_written_down() -> None:
    """In an event as in a plan, as the numbers that they are."""
    p = with_guesses(BARE)
    line = encode(Observed(t_ns=1, name="x", value=p.idle_timeout_s, detail={"n": p.max_n}))
    assert msgspec.json.decode(line)["detail"] == {"n": 8}
    asked = plainly(RequestClass(name="x", model="m", arrivals=Burst(count=p.max_n + 1), output_tokens=p.max_n))
    assert asked.arrivals.count == 9 and not guessed(asked.output_tokens)
    assert msgspec.json.encode(asked)


def test_a_history_is_given_what_was_promised_and_no_more() -> None:
    """And whatever else is asked of it says what to do."""
    given = made(BARE)
    assert given["slots"] == 9 and "idle_timeout_s" not in given and "assumed" not in given
    promises = as_made(given)
    assert promises.slots == 9
    with pytest.raises(NotPromised, match="doctor --measure"):
        _ = promises.idle_timeout_s
    with pytest.raises(NotPromised, match=r"detect_s: say detect_s in \[promises\]"):
        _ = promises.detect_s


def test_answers_of_somebody_elses_service_are_not_held_to_our_formula() -> None:
    assert BARE.oracle == "frames"
    assert with_assumed(Promises(model="m"), ("model", "oracle")).oracle == "formula"


def test_what_can_be_measured_is_something_that_a_stack_is_held_to() -> None:
    assert set(LIMITS) >= MEASURED
