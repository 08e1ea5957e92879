"""Timeouts: an engine that is slow, silent or refusing, then all of them."""

from __future__ import annotations

import pytest

from servedrill import (
    BreakersClosed,
    BystandersUnaffected,
    Drill,
    ErrorsFast,
    ErrorsReadable,
    GoodputRecovers,
    NewTrafficStops,
    NoFailures,
    RefusedWith,
    RetriesSpread,
    RetriesWithinBudget,
    RetryAfterHonoured,
    Settled,
    StreamsStream,
    TriesBounded,
    TriesSpread,
    bad_requests,
    black_hole,
    cancels,
    chat,
    code,
    http_status,
    latency,
    refused_without_a_storm,
    served,
    unnoticed,
)


@pytest.mark.drill_needs("Proxied:engines")
@pytest.mark.drill_catches("T1", "T2", "T3", "T4", "T5", "T6", "T12", "T14", "T16", "T17", "B9", "G2", "G3")
def test_timeout_spike(drill: Drill) -> None:
    """One slow, silent or refusing engine costs nobody an answer; when all are silent, errors are fast and readable,
    retries stay within their budget, and goodput is back within seconds of the heal."""
    stack, (first, second, *_), p = drill.stack, drill.engines, drill.promises
    quits = chat(rate=10, name="quits", cancel=cancels(points={"0.01": 1, "1": 1}))
    drill.load(chat(rate=20, stream=0.8, retries=1), code(rate=8, retries=1), quits)
    drill.baseline(1.5)
    with drill.window("one engine"):
        drill.break_for(0.8, latency(stack, first, ms=300), window="one slow")
        drill.hold(0.5)
        drill.break_for(3.6, black_hole(stack, first), window="one silent")
        drill.settle()
        drill.send(bad_requests(40, over_s=0.9), window="bad requests")
        asks_to_wait = http_status(stack, second, status=429, retry_after_s=1, fail_times=5)
        drill.break_for(1.4, http_status(stack, first, status=429, fail_times=4), asks_to_wait, window="asked to wait")
        long_enough_s = max(1.6, p.refusals_seen_s + 1.0)
        drill.break_for(long_enough_s, http_status(stack, first, status=503), window="one refuses")
        drill.settle()
    drill.break_for(1.5, *(http_status(stack, engine, status=429) for engine in drill.engines), window="all refuse")
    drill.settle()
    drill.break_for(2.6, *(black_hole(stack, engine) for engine in drill.engines), window="all silent")
    with drill.window("recover"):
        drill.hold(3.2)
        with drill.window("well again"):
            drill.hold(0.6)

    drill.expect(
        served("baseline", "chat", "code", requests_min=3),
        StreamsStream(window="baseline"),
        unnoticed("one engine", "chat", "code"),
        BystandersUnaffected(window="one silent", replica=first),
        NewTrafficStops(window="one silent", replica=first),
        RefusedWith(window="bad requests", classes=["bad"], statuses=[400]),
        TriesBounded(window="bad requests", calls="bad", tries_max=1),
        BreakersClosed(window="bad requests"),
        NoFailures(window="bad requests", classes=["chat", "code"], requests_min=3),
        NewTrafficStops(window="one refuses", replica=first, within_s=p.refusals_seen_s, probes_per_s=6.0),
        RetryAfterHonoured(window="asked to wait"),
        RetriesSpread(),
        TriesSpread(window="one engine"),
        refused_without_a_storm("all refuse"),
        RetriesWithinBudget(window="all silent"),
        ErrorsReadable(window="all silent"),
        ErrorsFast(window="all silent"),
        Settled(settles_min=3),
        BreakersClosed(window="well again"),
        GoodputRecovers(after="all silent", within_s=p.recovers_within_s + 1.0),
    )
