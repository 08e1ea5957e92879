"""What a sample rules out: the bound is exact, and it is wrong no more often than it says."""

from __future__ import annotations

import math
import random

import pytest

from servedrill.checkers.answered import NoFailures
from servedrill.checkers.finding import FAILING_AT_MOST, SAMPLE
from servedrill.stats.proportion import at_most, needed, seen_at_most


@pytest.mark.parametrize(("of", "share"), [(59, 0.05), (299, 0.01), (2995, 0.001)])
def test_no_failure_in_so_many_leaves_so_few(of: int, share: float) -> None:
    """The figures that people know; one trial fewer does not carry them."""
    assert at_most(0, of) <= share < at_most(0, of - 1)
    assert needed(share) == of


@pytest.mark.parametrize(("bad", "of", "rate"), [(0, 59, 0.05), (3, 50, 0.1), (40, 100, 0.5), (99, 100, 0.97)])
def test_the_chance_is_that_of_the_sum(bad: int, of: int, rate: float) -> None:
    """Term by term, where that can be added up."""
    exact = sum(math.comb(of, k) * rate**k * (1 - rate) ** (of - k) for k in range(bad + 1))
    assert seen_at_most(bad, of, rate) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.1, 0.4])
@pytest.mark.parametrize("of", [20, 60, 300])
def test_the_bound_is_wrong_in_one_of_twenty_at_most(of: int, rate: float) -> None:
    """10,000 made-up samples with a known rate: it is below the truth in no more than 5% of them."""
    chance = random.Random(of + round(1000 * rate))
    bounds = {bad: at_most(bad, of) for bad in range(of + 1)}
    wrong = sum(bounds[sum(chance.random() < rate for _ in range(of))] < rate for _ in range(10_000))
    assert wrong <= 10_000 * 0.05 + 3 * math.sqrt(10_000 * 0.05 * 0.95)


def test_edges() -> None:
    """Nothing seen rules out nothing."""
    assert (at_most(5, 5), at_most(0, 0)) == (1.0, 1.0)
    with pytest.raises(ValueError, match="6 of 5"):
        at_most(6, 5)


def test_a_finding_says_what_it_leaves_possible() -> None:
    """In words, and as figures for JSON and JUnit."""
    found = NoFailures(window="w").says(True, "0 of 59 failed", failing=(0, 59))
    assert found.leaves == "at most 5% failing, 95% sure"
    assert (found.figures[SAMPLE], round(found.figures[FAILING_AT_MOST], 4)) == (59, 0.0495)
    assert NoFailures(window="w").says(True, "as fast as before").leaves == ""
