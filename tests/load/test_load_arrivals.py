"""Arrivals have the statistics that they promise, and lengths too."""

from __future__ import annotations

import math
import random
import statistics
from itertools import islice, pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servedrill.errors import UsageError
from servedrill.load.arrivals import Arrivals, Burst, Constant, Gamma, Interrupted, Poisson, Ramp, Trace, Users
from servedrill.load.lengths import LogNormal, Quantiles, Uniform, draw


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
        (Interrupted(20.0, 3.0, 0.5), 20.0, 3.0),
        (Interrupted(20.0, 1.2, 0.9), 20.0, 1.2),
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
    st.builds(Interrupted, st.floats(0.1, 1000), st.floats(1.01, 20), st.floats(0.01, 0.99)),
    st.builds(Burst, st.integers(1, 200), st.floats(0, 10)),
    st.builds(Ramp, st.floats(0, 100), st.floats(0.1, 100), st.floats(0.1, 100)),
)


@given(arrivals=OPEN, seed=st.integers(0, 2**32))
def test_time_only_goes_forward(arrivals: Arrivals, seed: int) -> None:
    """Whatever the kind, offsets never decrease and begin at 0 or later."""
    offsets = list(islice(arrivals.offsets(random.Random(seed)), 200))
    assert all(a <= b for a, b in pairwise([0.0, *offsets]))
    assert all(math.isfinite(offset) for offset in offsets)


@given(rate=st.floats(0.1, 100), cv=st.floats(1.01, 20), silent=st.floats(0.01, 0.99))
def test_silences_take_their_share(rate: float, cv: float, silent: float) -> None:
    """The two means of an interrupted process give any rate, CV and share of silence that is asked for."""
    share, spell_s, silence_s = Interrupted(rate, cv, silent).gaps
    mean = (1 - share) * spell_s + share * silence_s
    second = 2 * ((1 - share) * spell_s**2 + share * silence_s**2)
    assert 0 < share < 1
    assert mean == pytest.approx(1 / rate)
    assert share * silence_s / mean == pytest.approx(silent)
    assert math.sqrt(second / mean**2 - 1) == pytest.approx(cv)


@given(arrivals=OPEN, factor=st.floats(0.1, 20), more_s=st.floats(1, 20), seed=st.integers(0, 2**32))
def test_slower_is_the_same_later(arrivals: Arrivals, factor: float, more_s: float, seed: int) -> None:
    """However slow, as many arrive, each after ``factor`` times as long from the start."""
    arrivals = msgspec.structs.replace(arrivals, start_s=3.0, stop_s=3.0 + more_s)
    fast = list(islice(arrivals.offsets(random.Random(seed)), 200))
    slow = list(islice(arrivals.slower(factor).offsets(random.Random(seed)), 200))
    # At the very end rounding may let one in or keep one out.
    assert abs(len(fast) - len(slow)) <= (1 if len(fast) < 200 else 0)
    for a, b in zip(fast, slow, strict=False):
        assert (b - 3.0) == pytest.approx((a - 3.0) * factor, rel=1e-6, abs=1e-9)


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
        lambda: Interrupted(0.0, 2.0, 0.5),
        lambda: Interrupted(1.0, 1.0, 0.5),
        lambda: Interrupted(1.0, 2.0, 1.0),
        lambda: Trace("/nowhere/trace.csv"),
        lambda: Quantiles(()),
        lambda: Quantiles(((0.0, 1), (0.5, 2))),
        lambda: Quantiles(((0.0, 2), (1.0, 1))),
        lambda: Quantiles(((0.0, 0), (1.0, 1))),
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
    rows = list(Trace(path, time_scale=0.5, prompt_scale=0.1, output_scale=0.1, start_s=1.0).rows())
    assert [row.offset_s for row in rows] == [1.0, 3.0, 3.0]
    assert [(row.prompt_words, row.output_tokens) for row in rows] == [(37, 4), (40, 11), (1, 1)]
    assert len(list(Trace(path, count=2).rows())) == 2
    cut = list(Trace(path, prompt_words_max=380, output_tokens_max=50).rows())
    assert [(row.prompt_words, row.output_tokens) for row in cut] == [(374, 44), (380, 50), (10, 1)]


def test_a_trace_that_repeats_is_a_ring(tmp_path: Path) -> None:
    """From any place on, the recording goes round, a mean gap between its last request and its first."""
    path = write_trace(tmp_path / "t.csv", *(f"2023-11-16 18:15:{second},{second},1" for second in (10, 11, 14)))
    trace = Trace(path, skip=1, repeat=True, stop_s=15.0)
    assert [(row.offset_s, row.prompt_words) for row in trace.rows()] == [
        (0.0, 11), (3.0, 14), (5.0, 10), (6.0, 11), (9.0, 14), (11.0, 10), (12.0, 11),
    ]  # fmt: skip
    assert trace.bounded
    assert not Trace(path, repeat=True).bounded


WHEN = "2023-11-16 18:15:46"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: no column TIMESTAMP"),
        ("TIMESTAMP,Prompt,Answer\n", "line 1: no column ContextTokens"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "no requests"),
        (f"TIMESTAMP,ContextTokens,GeneratedTokens\n{WHEN},1,1\nyesterday,1,1\n", "line 3: .*yesterday"),
        (f"TIMESTAMP,ContextTokens,GeneratedTokens\n{WHEN},one,1\n", "line 2: .*one"),
        (f"TIMESTAMP,ContextTokens,GeneratedTokens\n{WHEN}\n", "line 2: too few columns"),
        (f"TIMESTAMP,ContextTokens,GeneratedTokens\n{WHEN},-1,1\n", "line 2: a count below 0"),
        (f"TIMESTAMP,ContextTokens,GeneratedTokens\n{WHEN},1,1\n{WHEN}Z,1,1\n", "line 3: .*offset"),
        (b"TIMESTAMP,ContextTokens,GeneratedTokens\n\xff\xfe", "UTF-8"),
    ],
)
def test_a_trace_that_makes_no_sense_is_refused(tmp_path: Path, text: str | bytes, says: str) -> None:
    """One line names the file, the line and what is wrong with it, and what was expected."""
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=f"(?s)t.csv.*{says}.*expected") as refused:
        Trace(str(path))
    assert "\n" not in str(refused.value)


def test_a_trace_that_changes_is_read_again(tmp_path: Path) -> None:
    """A file is kept in memory for as long as it is the same."""
    path = write_trace(tmp_path / "t.csv", f"{WHEN},1,1")
    assert len(list(Trace(path).rows())) == 1
    write_trace(tmp_path / "t.csv", f"{WHEN},1,1", f"{WHEN},2,2")
    assert len(list(Trace(path).rows())) == 2


def test_lengths() -> None:
    """A lognormal has the median and p95 that were asked for, within its bounds."""
    rng = random.Random(5)
    values = sorted(draw(LogNormal(100, 400, lo=10, hi=1000), rng) for _ in range(20_000))
    assert values[10_000] == pytest.approx(100, rel=0.05)
    assert values[19_000] == pytest.approx(400, rel=0.07)
    assert (values[0] >= 10, values[-1]) == (True, 1000)
    assert {draw(Uniform(1, 3), rng) for _ in range(100)} == {1, 2, 3}
    assert draw(7, rng) == 7
    values = sorted(draw(Quantiles(((0.0, 5), (0.5, 100), (0.95, 400), (1.0, 500))), rng) for _ in range(20_000))
    assert (values[0] >= 5, values[-1] <= 500) == (True, True)
    assert values[10_000] == pytest.approx(100, rel=0.05)
    assert values[19_000] == pytest.approx(400, rel=0.02)


def test_quantiles_are_scaled_and_cut() -> None:
    """Every length by the same factor, none below 1 or above the longest."""
    known = Quantiles(((0.0, 1), (0.5, 100), (1.0, 1000)))
    assert known.scaled(0.1, longest=50).points == ((0.0, 1), (0.5, 10), (1.0, 50))
    assert [known.at(share) for share in (0.0, 0.25, 0.5, 1.0)] == [1, 10, 100, 1000]
