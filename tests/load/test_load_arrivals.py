"""Arrivals have the statistics that they promise, and lengths too."""

from __future__ import annotations

import math
import random
import statistics
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servedrill.errors import UsageError
from servedrill.load.arrivals import Arrivals, Burst, Constant, Gamma, Poisson, Ramp, Trace, Users
from servedrill.load.lengths import LogNormal, Uniform, draw


def gaps(arrivals: Arrivals, count: int = 20_000) -> list[float]:
    """The first gaps between arrivals."""
    return [b - a for a, b in pairwise(islice(arrivals.offsets(random.Random(7)), count))]


def cv(values: list[float]) -> float:
    """Coefficient of variation."""
    return statistics.pstdev(values) / statistics.fmean(values)


def test_constant_is_even() -> None:
    """Ten a second are 100 ms apart, without drift."""
    offsets = list(Constant(10.0, stop_s=100.0).offsets(random.Random(1)))
    assert len(offsets) == 1000
    assert offsets[999] == pytest.approx(99.9, abs=1e-9)


@pytest.mark.parametrize(
    ("arrivals", "rate", "variation"),
    [
        (Poisson(20.0), 20.0, 1.0),
        (Gamma(20.0, 1.0), 20.0, 1.0),
        (Gamma(20.0, 3.0), 20.0, 3.0),
        (Gamma(20.0, 0.3), 20.0, 0.3),
    ],
)
def test_rate_and_variation(arrivals: Arrivals, rate: float, variation: float) -> None:
    """Mean and coefficient of variation of the gaps are those asked for."""
    seen = gaps(arrivals)
    assert 1 / statistics.fmean(seen) == pytest.approx(rate, rel=0.07)
    assert cv(seen) == pytest.approx(variation, rel=0.1)


def test_a_burst_is_as_long_as_it_says() -> None:
    """All at once, or evenly over its time."""
    assert list(Burst(3).offsets(random.Random(1))) == [0.0, 0.0, 0.0]
    assert list(Burst(4, over_s=2.0, start_s=1.0).offsets(random.Random(1))) == [1.0, 1.5, 2.0, 2.5]


def test_a_ramp_goes_from_rate_to_rate() -> None:
    """Early on the rate is the first, at the end the second, and there it stays."""
    offsets = list(Ramp(10.0, 100.0, 50.0, stop_s=80.0).offsets(random.Random(3)))
    for begin, end, expected in ((0, 5, 14.5), (45, 50, 95.5), (60, 80, 100.0)):
        rate = sum(begin <= offset < end for offset in offsets) / (end - begin)
        assert rate == pytest.approx(expected, rel=0.25)


def test_a_ramp_down_to_nothing_ends() -> None:
    """With a rate of 0 at its end, nothing arrives afterwards."""
    offsets = list(Ramp(100.0, 0.0, 10.0).offsets(random.Random(3)))
    assert 400 < len(offsets) < 600
    assert offsets[-1] <= 10.0


OPEN = st.one_of(
    st.builds(Constant, st.floats(0.1, 1000)),
    st.builds(Poisson, st.floats(0.1, 1000)),
    st.builds(Gamma, st.floats(0.1, 1000), st.floats(0.1, 15)),
    st.builds(Burst, st.integers(1, 200), st.floats(0, 10)),
    st.builds(Ramp, st.floats(0, 100), st.floats(0.1, 100), st.floats(0.1, 100)),
)


@given(arrivals=OPEN, seed=st.integers(0, 2**32))
def test_time_only_goes_forward(arrivals: Arrivals, seed: int) -> None:
    """Whatever the kind, offsets never decrease and begin at 0 or later."""
    offsets = list(islice(arrivals.offsets(random.Random(seed)), 200))
    assert all(a <= b for a, b in pairwise([0.0, *offsets]))
    assert all(math.isfinite(offset) for offset in offsets)


@given(rate=st.floats(1, 100), start_s=st.floats(0, 10), more_s=st.floats(0.1, 10), count=st.integers(1, 50))
def test_bounds(rate: float, start_s: float, more_s: float, count: int) -> None:
    """Nothing before the start, nothing at or after the stop, never more than the count."""
    arrivals = Poisson(rate, start_s=start_s, stop_s=start_s + more_s, count=count)
    offsets = list(arrivals.offsets(random.Random(1)))
    assert len(offsets) <= count
    assert all(start_s <= offset < start_s + more_s for offset in offsets)
    assert arrivals.bounded


@pytest.mark.parametrize(
    "build",
    [
        lambda: Constant(0.0),
        lambda: Poisson(-1.0),
        lambda: Poisson(math.nan),
        lambda: Gamma(1.0, 0.0),
        lambda: Burst(0),
        lambda: Burst(1, over_s=-1.0),
        lambda: Ramp(0.0, 0.0, 1.0),
        lambda: Ramp(1.0, -1.0, 1.0),
        lambda: Ramp(1.0, 2.0, 0.0),
        lambda: Users(0),
        lambda: Users(1, think_s=-1.0),
        lambda: Constant(1.0, start_s=-1.0),
        lambda: Constant(1.0, start_s=5.0, stop_s=5.0),
        lambda: Constant(1.0, count=0),
        lambda: Trace("/nowhere/trace.csv"),
        lambda: Uniform(5, 4),
        lambda: LogNormal(0, 5),
        lambda: LogNormal(10, 5),
        lambda: LogNormal(10, 20, lo=-1),
    ],
)
def test_what_cannot_arrive_is_refused(build: object) -> None:
    """Impossible values raise one clear line where they are written."""
    with pytest.raises(UsageError, match="expected"):
        build()  # type: ignore[operator]


def write_trace(path: Path, *rows: str) -> str:
    """A trace file."""
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows, ""]))
    return str(path)


def test_a_trace_is_replayed_with_its_lengths(tmp_path: Path) -> None:
    """Times and lengths come from the file, scaled as asked; rows out of order never go back in time."""
    path = write_trace(
        tmp_path / "t.csv",
        "2023-11-16 18:15:46.6805900,374,44",
        "2023-11-16 18:15:50.6805900,396,109",
        "2023-11-16 18:15:49.6805900,10,1",
    )
    rows = list(Trace(path, time_scale=0.5, length_scale=0.1, start_s=1.0).rows())
    assert [row.offset_s for row in rows] == [1.0, 3.0, 3.0]
    assert [(row.prompt_words, row.output_tokens) for row in rows] == [(37, 4), (40, 11), (1, 1)]
    assert len(list(Trace(path, count=2).rows())) == 2


@pytest.mark.parametrize("row", ["yesterday,1,1", "2023-11-16 18:15:46,one,1", "2023-11-16 18:15:46", ""])
def test_a_trace_that_makes_no_sense_is_refused(tmp_path: Path, row: str) -> None:
    """A file of another form, or an empty one, is named with what was expected of it."""
    with pytest.raises(UsageError, match="expected"):
        Trace(write_trace(tmp_path / "t.csv", row))


def test_lengths() -> None:
    """A lognormal has the median and p95 that were asked for, within its bounds."""
    rng = random.Random(5)
    values = sorted(draw(LogNormal(100, 400, lo=10, hi=1000), rng) for _ in range(20_000))
    assert values[10_000] == pytest.approx(100, rel=0.05)
    assert values[19_000] == pytest.approx(400, rel=0.07)
    assert (values[0] >= 10, values[-1]) == (True, 1000)
    assert {draw(Uniform(1, 3), rng) for _ in range(100)} == {1, 2, 3}
    assert draw(7, rng) == 7
