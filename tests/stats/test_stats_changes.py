"""Changes of level: found where they are, and hardly ever where there is none."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servedrill.stats.changes import SIDE_MIN, changes


def noise(seed: int, n: int, *levels: tuple[int, float]) -> list[float]:
    """Gaussian noise of 1 on levels that begin at an index."""
    chance = random.Random(seed)
    return [chance.gauss(0, 1) + sum(by for at, by in levels if index >= at) for index in range(n)]


def test_a_change_is_found_where_it_is() -> None:
    """Two of them, up and down again, in a year."""
    for seed in range(20):
        found = changes(noise(seed, 365, (120, 3.0), (260, -2.0)))
        assert len(found) >= 2
        assert min(abs(at - 120) for at in found) <= 3
        assert min(abs(at - 260) for at in found) <= 5


def test_noise_alone_is_hardly_ever_a_change() -> None:
    """One in a hundred series at most, of any length."""
    series = [noise(seed, n) for seed in range(100) for n in (12, 40, 365)]
    assert sum(bool(changes(one)) for one in series) <= 3


def test_one_wild_value_is_none() -> None:
    """However wild it is, and where a mean would move."""
    assert changes([1.0] * 30 + [1e9] + [1.0] * 30) == []


def test_nine_runs_on_either_side_are_enough() -> None:
    """Where they are well apart; eight are not."""
    assert changes([1.0 + i / 100 for i in range(9)] + [2.0 + i / 100 for i in range(9)]) == [9]
    assert changes([1.0 + i / 100 for i in range(8)] + [2.0 + i / 100 for i in range(8)]) == []


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 400], ids=["none", "one", "all the same"])
def test_what_has_no_levels_has_no_change(values: list[float]) -> None:
    """And nothing breaks."""
    assert changes(values) == []


@given(st.lists(st.floats(-1e6, 1e6), max_size=80))
def test_changes_are_in_order_and_apart(values: list[float]) -> None:
    """Whatever the values are."""
    found = changes(values)
    assert not found or all(b - a >= SIDE_MIN for a, b in pairwise([0, *found, len(values)]))
