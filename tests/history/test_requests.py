"""A history's requests as columns say the same as its records do, in blocks of any size, from memory or from a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "checkers"))
from made_up import answered, cancelled, changed
from test_checkers_properties import REQUESTS

from servedrill.history import requests as r
from servedrill.history.events import RequestRecord
from servedrill.history.history import History
from servedrill.history.journal import write_events
from servedrill.history.requests import Requests
from servedrill.history.source import Lines
from servedrill.slo.objectives import Objective
from servedrill.stats import figures, requests

RECORDS = st.lists(REQUESTS, max_size=20)
LIMITS = st.none() | st.floats(0, 5)


@given(RECORDS, st.integers(1, 6))
def test_selections_are_those_of_a_list(records: list[RequestRecord], block_rows: int) -> None:
    """Each by its words, in the order in which the requests ended."""
    history = History(records, block_rows=block_rows)
    ordered = sorted(records, key=lambda record: record.t_ns)
    found = history.requests(cancelled=True)
    assert list(found) == ordered
    assert list(history.requests()) == [one for one in ordered if one.cancelled_ns is None]
    assert list(found.cancelled) == [one for one in ordered if one.cancelled_ns is not None]
    assert list(found.whole) == [one for one in ordered if requests.whole(one)]
    assert list(found.failed) == [one for one in ordered if one.failure is not None]
    assert list(found.failed_of("cut", "unheard of")) == [one for one in ordered if one.failure == "cut"]
    assert list(found.begun) == [one for one in ordered if one.t_first_ns is not None]
    assert list(found.without_content) == [one for one in ordered if one.t_first_ns is None]
    assert (list(found.streams), list(found.unstreamed)) == tuple(
        [one for one in ordered if one.stream is how] for how in (True, False)
    )
    assert list(found.answers) == [one for one in ordered if one.status == 200 and any(one.texts)]
    assert list(found.of_classes(["chat", "bad"])) == [one for one in ordered if one.cls in ("chat", "bad")]
    assert list(found.failures()) == [one.failure for one in ordered]


@given(RECORDS, LIMITS, LIMITS, LIMITS)
def test_figures_are_those_of_the_records(
    records: list[RequestRecord], ttft_s: float | None, tpot_s: float | None, max_stall_s: float | None
) -> None:
    """To the last bit, and so is what is good."""
    found, limits = Requests.of(records), Objective(ttft_s=ttft_s, tpot_s=tpot_s, max_stall_s=max_stall_s)
    assert list(figures.wholes(found)) == list(map(requests.whole, records))
    assert list(figures.ttfts_s(found)) == list(map(requests.ttft_s, records))
    assert list(figures.ttfts_service_s(found)) == list(map(requests.ttft_service_s, records))
    assert list(figures.durations_s(found)) == list(map(requests.duration_s, records))
    assert list(figures.tpots_s(found)) == list(map(requests.tpot_s, records))
    assert list(figures.stalls_s(found)) == list(map(requests.max_stall_s, records))
    assert list(limits.goods(found)) == list(map(limits.good, records))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(RECORDS, st.booleans())
def test_a_file_says_the_same_whether_its_records_are_kept_or_read_again(
    tmp_path: Path, records: list[RequestRecord], kept: bool
) -> None:
    """Records are equal, and those of one instant in the order of their lines."""
    path = tmp_path / "history.jsonl"
    path.unlink(missing_ok=True)
    write_events(path, records)
    history = History(Lines(path, kept_max_bytes=1 << 20 if kept else 0), block_rows=3)
    assert list(history.requests(cancelled=True)) == sorted(records, key=lambda record: record.t_ns)


def judged_once(*records: RequestRecord) -> int:
    """How often a judge is asked about answers."""
    asked: list[RequestRecord] = []
    found = Requests.of(records).answers
    told = list(found.each_answer(lambda record: asked.append(record) or record.texts))  # type: ignore[func-returns-value]
    assert told == [record.texts for record in found]
    return len(asked)


def test_answers_that_are_the_same_are_judged_once() -> None:
    """Whenever they were given, to whomever; one that differs in anything that is judged is another."""
    one = answered(1)
    assert judged_once(one, changed(answered(2), **same(one)), changed(answered(3), **same(one))) == 1
    for field, other in {
        "texts": ["x"], "prompt": "x", "params": {"temperature": 1}, "max_tokens": 99, "failure": "cut",
        "finish_reasons": ["stop"], "fingerprints": ["v2"], "models": ["n"], "done_frames": 2, "preambles": 2,
        "completion_tokens": 1, "usage_prompt_tokens": 7, "prompt_tokens": 7, "stream": False, "n": 2,
        "route": "completions", "model": "n",
    }.items():  # fmt: skip
        assert judged_once(one, changed(one, **{field: other})) == 2, field


def same(one: RequestRecord) -> dict[str, Any]:
    return {"prompt": one.prompt, "texts": one.texts}


def test_answers_that_are_too_many_are_judged_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered beyond a number, a size, or of one that was cancelled."""
    several = [answered(t) for t in range(5)]
    monkeypatch.setattr(r, "ANSWERS_MAX", 3)
    assert judged_once(*several, *several) == 3 + 2 * 2
    monkeypatch.setattr(r, "ANSWERS_MAX_BYTES", 0)
    assert judged_once(*several, *several) == 10
    monkeypatch.undo()
    hung_up = cancelled(1)
    assert judged_once(hung_up, hung_up) == 2
