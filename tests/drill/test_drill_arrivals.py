"""Recorded arrivals and the models of published ones: the figures that they promise, and nothing lost in scaling."""

from __future__ import annotations

import random
import statistics
from itertools import islice, pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servedrill.drill.arrivals import as_recorded, azure_code, azure_conversation, replay
from servedrill.drill.traffic import burst, chat, code, golden
from servedrill.errors import UsageError
from servedrill.load.arrivals import Poisson, Trace
from servedrill.load.lengths import draw
from servedrill.load.plan import LoadPlan, RequestClass, Target
from servedrill.load.schedule import PlannedRequest, requests

TRACES = Path(__file__).parents[3] / "shared" / "traces"
"""Azure's LLM inference traces 2023, beside the repository where somebody put them there."""


def planned(cls: RequestClass, count: int | None = None, *, seed: int = 1) -> list[PlannedRequest]:
    """The first requests of a class."""
    plan = LoadPlan(classes=[cls], seed=seed, target=Target(base_url="http://127.0.0.1:1")).check()
    return list(islice(requests(plan), count))


def figures(offsets: list[float]) -> tuple[float, float]:
    """Requests a second, and the coefficient of variation of the gaps."""
    gaps = [b - a for a, b in pairwise(offsets)]
    mean = statistics.fmean(gaps)
    return 1 / mean, statistics.pstdev(gaps) / mean


def percentiles(values: list[int]) -> tuple[float, float, float]:
    """p50, p95, p99."""
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[94], cuts[98]


def write_trace(path: Path, rows: list[tuple[float, int, int]]) -> str:
    """A trace file: ``(seconds, prompt, answer)`` each."""
    lines = [f"2023-11-16 18:{int(s) // 60:02}:{s % 60:09.6f},{words},{tokens}" for s, words, tokens in rows]
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines, ""]))
    return str(path)


@pytest.mark.parametrize(
    ("cls", "rate", "cv", "prompt", "output"),
    [
        (azure_conversation(model="m", max_model_len=65536), 5.53, 1.09, (1020, 4083, 4142), (129, 451, 601)),
        (azure_code(model="m", max_model_len=65536), 2.57, 13.15, (1469, 7302, 7436), (13, 90, 249)),
    ],
    ids=["conversation", "code"],
)
def test_the_models_have_the_published_figures(
    cls: RequestClass, rate: float, cv: float, prompt: tuple[int, ...], output: tuple[int, ...]
) -> None:
    """Unscaled, 200,000 arrivals have the rate (4%) and CV (5%), and 20,000 lengths the p50, p95 and p99 (5%) of the
    trace that they stand for.
    """
    seen_rate, seen_cv = figures(list(islice(cls.arrivals.offsets(random.Random(1)), 200_000)))
    assert seen_rate == pytest.approx(rate, rel=0.04)
    assert seen_cv == pytest.approx(cv, rel=0.05)
    chance = random.Random(2)
    assert cls.output_tokens is not None
    assert percentiles([draw(cls.prompt_words, chance) for _ in range(20_000)]) == pytest.approx(prompt, rel=0.05)
    assert percentiles([draw(cls.output_tokens, chance) for _ in range(20_000)]) == pytest.approx(output, rel=0.05)


def test_code_comes_in_spells() -> None:
    """In 73% of all seconds nothing comes, and in those with anything, ten requests on average: neither Poisson's
    stream nor gamma's heaps of one instant.
    """
    offsets = list(islice(azure_code(model="m").arrivals.offsets(random.Random(3)), 50_000))
    seconds = {int(offset) for offset in offsets}
    assert 1 - len(seconds) / offsets[-1] == pytest.approx(0.73, abs=0.03)
    assert len(offsets) / len(seconds) == pytest.approx(9.6, rel=0.1)
    assert statistics.median(b - a for a, b in pairwise(offsets)) == pytest.approx(0.067, rel=0.1)


@pytest.mark.parametrize("make", [azure_conversation, azure_code])
@given(max_model_len=st.integers(64, 16384), rate=st.floats(0.1, 200))
def test_the_models_fit_any_context(make: object, max_model_len: int, rate: float) -> None:
    """Prompt, template and answer together never exceed the context, at any rate."""
    cls: RequestClass = make(model="m", rate=rate, max_model_len=max_model_len)  # type: ignore[operator]
    cls.check()
    assert cls.prompt_words.hi + cls.output_tokens.hi + 16 <= max_model_len  # type: ignore[union-attr]
    assert cls.arrivals.rate == rate  # type: ignore[union-attr]


RECORDED = st.lists(
    st.tuples(st.floats(0.01, 20.0), st.integers(0, 9000), st.integers(0, 2000)), min_size=2, max_size=60
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


def recorded(folder: Path, gaps: list[tuple[float, int, int]]) -> tuple[str, list[tuple[float, int, int]]]:
    """A trace file with these gaps before each request, and its rows."""
    now, rows = -gaps[0][0], []
    for gap, words, tokens in gaps:
        now += gap
        rows.append((round(now, 6), words, tokens))
    return write_trace(folder / "t.csv", rows), rows


@given(gaps=RECORDED, rate=st.floats(0.1, 100), max_model_len=st.integers(64, 8192))
def test_replay_scales_time_and_lengths(
    folder: Path, gaps: list[tuple[float, int, int]], rate: float, max_model_len: int
) -> None:
    """Every request is replayed, at the rate that was asked for, in the trace's own proportions, within the context."""
    path, rows = recorded(folder, gaps)
    seen = planned(replay(path, model="m", rate=rate, max_model_len=max_model_len))
    assert len(seen) == len(rows)
    assert (len(seen) - 1) / seen[-1].offset_s == pytest.approx(rate, rel=1e-3)
    scale = seen[-1].offset_s / rows[-1][0]
    for request, (at, _, _) in zip(seen, rows, strict=True):
        assert request.offset_s == pytest.approx(at * scale, abs=1e-6, rel=1e-3)
        assert request.prompt_tokens + (request.max_tokens or 0) <= max_model_len
        assert (request.max_tokens or 0) >= 1


@given(gaps=RECORDED, rate=st.floats(0.5, 50), pace=st.floats(1, 20))
def test_as_recorded_keeps_the_rate_at_any_pace(
    folder: Path, gaps: list[tuple[float, int, int]], rate: float, pace: float
) -> None:
    """A class as recorded has its own rate over whole rounds of the recording, and is ``pace`` times slower at that
    pace.
    """
    path, rows = recorded(folder, gaps)
    cls = as_recorded(chat(rate=rate, model="m"), path)
    offsets = [request.offset_s for request in planned(cls, 3 * len(rows) + 1)]
    assert 3 * len(rows) / offsets[-1] == pytest.approx(rate, rel=1e-3)
    slow = msgspec.structs.replace(cls, arrivals=cls.arrivals.slower(pace))
    assert [request.offset_s for request in planned(slow, len(offsets))] == pytest.approx([t * pace for t in offsets])


def test_as_recorded_keeps_the_tokens(tmp_path: Path) -> None:
    """Answers are as long on average as the class's, prompts nearly so (none is shorter than their prefix); the class
    says how long they can get.
    """
    path = write_trace(tmp_path / "t.csv", [(float(n), 100 + 50 * (n % 20), 10 + 10 * (n % 10)) for n in range(200)])
    before = chat(rate=10, model="m", output_tokens=20)
    after = as_recorded(before, path)
    seen = planned(after, 200)
    assert statistics.fmean(request.prompt_tokens for request in seen) == pytest.approx(64 + 50 + 2, rel=0.08)
    assert statistics.fmean(request.max_tokens or 0 for request in seen) == pytest.approx(20, rel=0.05)
    assert max(request.max_tokens or 0 for request in seen) == after.output_tokens.hi == 36  # type: ignore[union-attr]
    assert (before.prefix_words, after.prefix_words) == (64, 64)


def test_as_recorded_leaves_what_is_meant(tmp_path: Path) -> None:
    """Bursts stay bursts; fixed prompts keep their answers' lengths; bounds stay; a drill's classes are not in step."""
    path = write_trace(tmp_path / "t.csv", [(n * n / 10, 10 * n, n) for n in range(20)])
    once = burst(10, over_s=0.1, model="m")
    assert as_recorded(once, path) is once
    asked = as_recorded(golden(rate=5, model="m"), path)
    assert isinstance(asked.arrivals, Trace)
    assert {request.max_tokens for request in planned(asked, 40)} == {8}
    bounded = as_recorded(chat(rate=5, model="m", arrivals=Poisson(rate=5, start_s=2.0, stop_s=4.0)), path)
    assert all(2.0 <= request.offset_s < 4.0 for request in planned(bounded))
    chats, codes = (planned(as_recorded(make(rate=5, model="m"), path), 20) for make in (chat, code))
    assert [request.offset_s for request in chats] != [request.offset_s for request in codes]


def test_a_trace_without_time_is_refused(tmp_path: Path) -> None:
    """What came at one instant has no rate to scale, and says so."""
    path = write_trace(tmp_path / "t.csv", [(1.0, 10, 10), (1.0, 20, 20)])
    with pytest.raises(UsageError, match=r"t.csv: all requests come at one instant; expected"):
        as_recorded(chat(rate=5, model="m"), path)
    with pytest.raises(UsageError, match="rate is 0"):
        replay(path, model="m", rate=0)


@pytest.mark.skipif(not TRACES.is_dir(), reason="Azure's traces are not beside the repository (../shared/traces)")
@pytest.mark.parametrize(
    ("name", "model", "rate", "cv"),
    [("azure-llm-2023-conv.csv", azure_conversation, 5.53, 1.09), ("azure-llm-2023-code.csv", azure_code, 2.57, 13.15)],
)
def test_the_real_traces(name: str, model: object, rate: float, cv: float) -> None:
    """A real trace is replayed whole, as it was and twice as fast, and the shipped model has its quantiles and mean
    lengths.
    """
    path = str(TRACES / name)
    real = list(Trace(path).rows())
    assert figures([row.offset_s for row in real]) == pytest.approx((rate, cv), rel=0.01)
    twice = planned(replay(path, model="m", rate=2 * rate))
    assert len(twice) == len(real)
    assert figures([request.offset_s for request in twice]) == pytest.approx((2 * rate, cv), rel=0.01)
    assert max(request.prompt_tokens + (request.max_tokens or 0) for request in twice) <= 2048
    assert planned(replay(path, model="m", seconds=60))[-1].offset_s < 60

    shipped: RequestClass = model(model="m", max_model_len=65536)  # type: ignore[operator]
    for length, seen in (
        (shipped.prompt_words, [row.prompt_words for row in real]),
        (shipped.output_tokens, [row.output_tokens for row in real]),
    ):
        cuts = statistics.quantiles(seen, n=100, method="inclusive")
        known = [length.at(share / 100) for share in (10, 25, 50, 75, 90, 95, 99)]  # type: ignore[union-attr]
        assert known == pytest.approx([cuts[share - 1] for share in (10, 25, 50, 75, 90, 95, 99)], rel=0.03)
        chance = random.Random(4)
        drawn = statistics.fmean(draw(length, chance) for _ in range(20_000))  # type: ignore[arg-type]
        assert drawn == pytest.approx(statistics.fmean(seen), rel=0.08)
