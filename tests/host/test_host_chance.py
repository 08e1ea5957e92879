"""One seed, and everything random in a run comes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servedrill.host.chance import seed_of


@pytest.mark.parametrize(
    ("run_seed", "name", "seed"),
    [
        (0, "1_timeout_spike", 1_120_639_986),
        (7, "1_timeout_spike", 1_120_639_989),
        (999_999_999, "3_node_restart", 1_460_800_049),
        (7, "", 1_954_132_659),
    ],
)
def test_a_drill_has_the_seed_that_it_always_had(run_seed: int, name: str, seed: int) -> None:
    """Whoever writes a run's seed down gets the same schedule from a later version."""
    assert seed_of(run_seed, name) == seed


@given(st.integers(0, 2**31 - 1), st.text(max_size=20))
def test_a_seed_fits_into_31_bits_and_follows_the_runs(run_seed: int, name: str) -> None:
    """Another run's seed gives another seed for the same name, and the same one gives the same."""
    seed = seed_of(run_seed, name)
    assert 0 <= seed < 2**31
    assert seed_of(run_seed, name) == seed
    assert seed_of(run_seed ^ 1, name) == seed ^ 1
