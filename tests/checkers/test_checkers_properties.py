"""Whatever a history holds, judging it comes to an end, and to the same one every time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import made_up
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_checkers_catch import PLANTS

from servedrill.history import events as e
from servedrill.history import requests, table
from servedrill.history.history import History
from servedrill.history.journal import write_events
from servedrill.history.source import Lines
from servedrill.judging.verdict import judge
from servedrill.stats import percentiles
from servedrill.stats.percentiles import median, percentile
from servedrill.stats.requests import duration_s, max_stall_s, tokens_received, tpot_s, ttft_s, ttft_service_s

INSTANTS = st.integers(made_up.T0_NS - 10**9, made_up.T0_NS + 15 * 10**9)
NAMES = st.sampled_from(["engine-0", "engine-1", "gateway-0"])
WINDOWS = st.sampled_from(["baseline", "inject", "recover", "quiet", "storm"])
FIGURES = st.floats(-10, 1e6) | st.sampled_from([0.0, 1.0])
WORDS = st.sampled_from(
    ["running", "kv_usage", "generated_tokens", "in_flight", "breaker/engine-0", "healthy/engine-0", "x"]
)
STATUSES = st.none() | st.sampled_from([200, 400, 404, 429, 500, 503])
TEXTS = st.sampled_from(["", " baba", " baba doda", "x", " " * 9])
KINDS = st.sampled_from(["latency", "process_kill", "process_restart", "down"])
LEASES = st.sampled_from(["a", "b"])
ATTEMPTS = st.builds(
    e.Attempt,
    t_send_ns=INSTANTS,
    t_end_ns=INSTANTS,
    address=st.sampled_from(["127.0.0.10:80", "127.0.0.11:80", "x", ""]),
    status=STATUSES,
    request_id=st.none() | st.sampled_from(["r1", "r2", "r3"]),
    via=st.none() | NAMES,
    retry_after_s=st.none() | st.floats(0, 5),
)
REQUESTS = st.builds(
    e.RequestRecord,
    t_ns=INSTANTS,
    id=st.sampled_from(["r1", "r2", "r3"]),
    cls=st.sampled_from(["chat", "code", "bad", "golden", "before", "after", "hog", "chat-eu"]),
    route=st.sampled_from(["chat", "completions"]),
    stream=st.booleans(),
    n=st.integers(1, 3),
    model=st.just("m"),
    prompt=st.sampled_from(["w:0.0+1.5", "golden:3", "golden:x", "", "hello there"]),
    prompt_tokens=st.integers(0, 10),
    max_tokens=st.none() | st.integers(0, 20),
    params=st.sampled_from([{}, {"temperature": 0}, {"temperature": 0.5, "seed": 3}, {"stop": "x"}, {"seed": None}]),
    t_int_ns=INSTANTS,
    t_send_ns=st.none() | INSTANTS,
    t_first_ns=st.none() | INSTANTS,
    t_last_ns=st.none() | INSTANTS,
    t_end_ns=INSTANTS,
    deadline_s=st.floats(0, 20),
    gaps_ns=st.lists(st.integers(0, 10**10), max_size=3),
    attempts=st.lists(ATTEMPTS, max_size=3),
    status=STATUSES,
    texts=st.lists(TEXTS, max_size=3),
    finish_reasons=st.lists(st.sampled_from([None, "stop", "length"]), max_size=3),
    preambles=st.integers(0, 2),
    done_frames=st.integers(0, 2),
    models=st.lists(st.sampled_from(["m", "n"]), max_size=2),
    fingerprints=st.lists(st.sampled_from(["v1", "v2"]), max_size=2),
    completion_tokens=st.none() | st.integers(0, 10),
    failure=st.none() | st.sampled_from(["http_503", "cut", "deadline", "idle_timeout", "error_event"]),
    cancelled_ns=st.none() | INSTANTS,
    error_schema_ok=st.none() | st.booleans(),
)
EXCHANGES = st.builds(
    e.Exchange,
    t_ns=INSTANTS,
    hop=NAMES,
    seq=st.integers(0, 20),
    connection=st.integers(0, 3),
    method=st.sampled_from(["POST", "GET"]),
    path=st.sampled_from(["/v1/chat/completions", "/health"]),
    request_id=st.none() | st.sampled_from(["r1", "r2", "r3"]),
    attempt=st.none() | st.sampled_from(["1", "2", "x"]),
    t_request_ns=INSTANTS,
    t_response_ns=st.none() | INSTANTS,
    t_end_ns=st.none() | INSTANTS,
    status=STATUSES,
    retry_after_s=st.none() | st.floats(0, 5),
    end=st.none() | st.sampled_from(["complete", "cut"]),
)
OTHERS = st.one_of(
    st.builds(e.WindowOpened, t_ns=INSTANTS, window=WINDOWS),
    st.builds(e.WindowClosed, t_ns=INSTANTS, window=WINDOWS),
    st.builds(e.FaultInjected, t_ns=INSTANTS, lease=LEASES, fault=KINDS, target=NAMES, deadline_ns=INSTANTS),
    st.builds(e.FaultEvidence, t_ns=INSTANTS, lease=LEASES, took_effect=st.booleans(), observed=st.just("seen")),
    st.builds(e.FaultHealed, t_ns=INSTANTS, lease=LEASES, proven=st.booleans(), proof=st.just("gone")),
    st.builds(
        e.LoadHealth,
        t_ns=INSTANTS,
        worker=st.integers(0, 2),
        planned=st.integers(0, 9),
        sent=st.integers(0, 9),
        in_flight=st.integers(0, 9),
        loop_lags_ms=st.dictionaries(st.integers(0, 1000), st.integers(1, 200), max_size=4),
        send_lags_ms=st.dictionaries(st.integers(0, 1000), st.integers(1, 20), max_size=4),
        cpu_ratio=st.floats(0, 1),
    ),
    st.builds(
        e.CpuWaits,
        t_ns=INSTANTS,
        span_s=st.floats(0, 2),
        cores=st.integers(0, 4),
        waited_s=st.dictionaries(NAMES, st.floats(0, 2), max_size=2),
        ran_s=st.dictionaries(NAMES, st.floats(0, 2), max_size=2),
        stolen_s=st.floats(0, 2),
        pressure_s=st.none() | st.floats(0, 2),
    ),
    st.builds(
        e.Sample,
        t_ns=INSTANTS,
        source=NAMES,
        role=st.sampled_from(["engine", "gateway"]),
        ok=st.booleans(),
        values=st.dictionaries(WORDS, FIGURES, max_size=4),
        health=STATUSES,
    ),
    st.builds(
        e.ProcessSeen,
        t_ns=INSTANTS,
        name=NAMES,
        role=st.sampled_from(["engine", "gateway"]),
        pid=st.none() | st.integers(1, 3),
        start_ticks=st.none() | st.integers(1, 2),
        child_pids=st.lists(st.integers(1, 3), max_size=2),
        leftover_pids=st.lists(st.integers(1, 3), max_size=1),
        rss_bytes=st.integers(0, 10**9),
        sockets=st.integers(0, 99),
    ),
    st.builds(
        e.AlertSeen,
        t_ns=INSTANTS,
        alert=st.sampled_from(["ReplicaDown", "NoProgress"]),
        labels=st.dictionaries(st.just("replica"), NAMES),
        state=st.sampled_from(["firing", "resolved"]),
    ),
    st.builds(
        e.Observed,
        t_ns=INSTANTS,
        name=st.sampled_from(["freed", "rollout/v2-slow"]),
        value=FIGURES,
        detail=st.dictionaries(st.sampled_from(["state", "reason"]), st.sampled_from(["running", "tpot_s"])),
    ),
    st.builds(e.DrillEnded, t_ns=INSTANTS, interrupted=st.none() | st.just("Ctrl-C")),
)
EVENTS = (
    st.lists(REQUESTS, max_size=25)
    | st.lists(EXCHANGES, max_size=25)
    | st.lists(st.one_of(REQUESTS, EXCHANGES, OTHERS, OTHERS, OTHERS), max_size=40)
)
BEGINNINGS: dict[str, list[Any]] = {
    "nothing": [],
    "windows": made_up.PHASES,
    "a fault": [*made_up.PHASES, *made_up.fault("process_kill")],
    "a clean run": list(made_up.clean_run().events),
}
ASKED = [plant.checker.expected(made_up.at(14)) for plant in PLANTS]
FEW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


def told(beginning: str, events: list[Any], *, control: bool) -> History:
    """A history of anything, that asks for every checker."""
    started = e.DrillStarted(t_ns=made_up.T0_NS - 2 * 10**9, drill="d", hypothesis="h", seed=1, control=control)
    return History(sorted([started, *BEGINNINGS[beginning], *events, *ASKED], key=lambda event: event.t_ns))


@FEW
@given(st.sampled_from(sorted(BEGINNINGS)), EVENTS, st.booleans())
def test_judging_never_raises_and_never_wavers(beginning: str, events: list[Any], control: bool) -> None:
    """Any history gets a verdict, the same one again, and the same one when it is read back from a file."""
    history = told(beginning, events, control=control)
    first = msgspec.json.encode(judge(history))
    assert msgspec.json.encode(judge(History(history.events))) == first
    stored = [msgspec.json.decode(msgspec.json.encode(event), type=e.KnownEvent) for event in history.events]
    assert msgspec.json.encode(judge(History(stored))) == first


@FEW
@given(st.sampled_from(sorted(BEGINNINGS)), EVENTS, st.booleans(), st.integers(1, 40))
def test_a_verdict_does_not_depend_on_what_is_held(
    tmp_path: Path, beginning: str, events: list[Any], control: bool, block_rows: int
) -> None:
    """To the byte the same from a file of which nothing is kept, in blocks of any size that are merged from the
    disk."""
    history = told(beginning, events, control=control)
    path = tmp_path / "history.jsonl"
    path.unlink(missing_ok=True)
    write_events(path, history.events)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(table, "IN_MEMORY_MAX_BYTES", 100)
        patched.setattr(requests, "ANSWERS_MAX", 2)
        read_again = History(Lines(path, kept_max_bytes=0), block_rows=block_rows)
        assert msgspec.json.encode(judge(read_again)) == msgspec.json.encode(judge(history))


@FEW
@given(REQUESTS)
def test_a_request_has_its_figures(request: e.RequestRecord) -> None:
    """Latencies of any record are numbers; one without content waited for ever."""
    assert (ttft_s(request) == math.inf) == (request.t_first_ns is None)
    assert ttft_service_s(request) == math.inf or request.t_send_ns is not None
    assert max_stall_s(request) >= 0
    assert tokens_received(request) >= 0
    assert isinstance(duration_s(request), float)
    assert tpot_s(request) is None or (request.stream and request.t_last_ns is not None)


VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=40)


@given(VALUES, st.integers(0, 40), st.floats(0, 100))
def test_failures_never_flatter_a_percentile(survivors: list[float], failures: int, p: float) -> None:
    """With failures as the slowest of all, no percentile is below that of the survivors alone."""
    assert percentile([*survivors, *[math.inf] * failures], p) >= percentile(survivors, p)


@given(VALUES, st.floats(0, 100), st.floats(0, 100))
def test_percentiles_are_values_that_were_seen_in_order(values: list[float], p: float, q: float) -> None:
    """Each is one of the values, the lower one first, whatever order they came in."""
    low, high = sorted((p, q))
    assert percentile(values, low) in values
    assert percentile(values, low) <= percentile(values, high)
    assert percentile(list(reversed(values)), p) == percentile(values, p)
    assert (percentile(values, 0), percentile(values, 100)) == (min(values), max(values))


@given(
    st.lists(st.floats(-10, 10) | st.sampled_from([math.inf, 0.0]), min_size=1), st.floats(0, 100), st.integers(1, 9)
)
def test_a_percentile_of_many_is_that_of_few(values: list[float], p: float, sorted_max: int) -> None:
    """Found by parting sorted runs, it is the value that sorting all of them has there."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(percentiles, "SORTED_MAX", sorted_max)
        found = percentile(values, p)
    assert found == percentile(iter(values), p) == sorted(values)[max(0, math.ceil(p / 100 * len(values)) - 1)]


def test_percentiles_by_nearest_rank() -> None:
    """The textbook's example, and nothing of nothing."""
    assert [percentile([15, 20, 35, 40, 50], p) for p in (5, 30, 40, 50, 100)] == [15, 20, 20, 35, 50]
    assert median([3, 1, 2]) == 2
    assert math.isnan(percentile([], 50))
