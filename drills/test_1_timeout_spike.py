"""Timeouts: an engine that is slow, silent or refusing, then all of them."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill.checkers.answered import (
    BrokenStreamsSaidSo,
    ErrorsFast,
    ErrorsReadable,
    FirstTokenBounded,
    NoFailureBeforeFirstToken,
    NoFailures,
    RefusedWith,
    StallBounded,
)
from servedrill.checkers.recovery import BystandersUnaffected, GoodputRecovers, NewTrafficStops, Settled, SloMet
from servedrill.checkers.replicas import BreakersClosed
from servedrill.checkers.retries import RetriesSpread, RetriesWithinBudget, RetryAfterHonoured, TriesBounded
from servedrill.drill.context import Drill
from servedrill.drill.traffic import bad_requests, cancels, chat, code
from servedrill.faults.network import black_hole, http_status, latency


@pytest.mark.needs("Proxied")
@pytest.mark.catches("T1", "T2", "T3", "T4", "T5", "T6", "T12", "T14", "T16", "T17", "B9", "G2", "G3")
def test_timeout_spike(drill: Drill) -> None:
    """One slow, silent or refusing engine costs nobody an answer; when all are silent, errors are fast and readable,
    retries stay within their budget, and goodput is back within seconds of the heal."""
    stack, p, model = drill.stack, drill.promises, drill.model
    first, second, *_ = engines = drill.names("engine")
    brief: dict[str, Any] = {"model": model, "retries": 1}
    drill.load(
        chat(rate=20, stream=0.8, **brief),
        code(rate=8, params={"temperature": 0}, **brief),
        chat(rate=10, name="quits", cancel=cancels(points={"0.01": 1, "1": 1}), model=model),
    )
    drill.baseline(1.8)
    with drill.window("retries"):
        with drill.window("one engine"):
            with drill.broken(latency(stack, first, ms=300), window="one slow"):
                drill.hold(0.8)
            drill.hold(0.8)
            with drill.broken(black_hole(stack, first), window="one silent"):
                drill.hold(4.2)
            drill.settle()
            with drill.window("bad requests"):
                drill.load(bad_requests(40, over_s=0.9, model=model)).wait(within_s=10)
            refusals = (
                http_status(stack, first, status=503),
                http_status(stack, second, status=429, retry_after_s=1, fail_times=6),
            )
            with drill.broken(*refusals, window="two refuse"):
                drill.hold(1.6)
            drill.settle()
        with drill.broken(*(http_status(stack, engine, status=429) for engine in engines), window="all refuse"):
            drill.hold(1.5)
    drill.settle()
    with drill.broken(*(black_hole(stack, engine) for engine in engines), window="all silent"):
        drill.hold(2.6)
    drill.recover(3.8)

    drill.expect(
        NoFailures(window="baseline"),
        SloMet(window="baseline", classes=["chat", "code"], requests_min=3),
        NoFailureBeforeFirstToken(window="one engine", classes=["chat", "code"]),
        FirstTokenBounded(window="one engine", ttft_s_max=p.first_token_timeout_s + 0.7),
        BrokenStreamsSaidSo(window="one engine", resumes=p.resumes_streams),
        StallBounded(window="one engine", stall_s_max=p.idle_timeout_s + 0.7),
        TriesBounded(window="one engine", tries_max=p.tries_max),
        BystandersUnaffected(window="one silent", replica=first),
        RefusedWith(window="bad requests", classes=["bad"], statuses=[400]),
        TriesBounded(window="bad requests", tries_max=1, calls="bad"),
        BreakersClosed(window="bad requests"),
        NoFailures(window="bad requests", classes=["chat", "code"], requests_min=3),
        Settled(settles_min=3),
        GoodputRecovers(after="all silent", within_s=p.recovers_within_s + 1.0, bucket_s=0.5 * p.pace),
    )
    if not drill.control:
        budget: dict[str, Any] = {
            "ratio": p.retry_budget_ratio,
            "min_per_s": p.retry_budget_min_per_s,
            "burst": p.retry_budget_burst,
            "gateways": len(drill.names("gateway")),
        }
        silence_s = p.first_token_timeout_s
        drill.expect(
            NewTrafficStops(window="one silent", replica=first, within_s=p.detect_s + 0.5),
            NewTrafficStops(window="two refuse", replica=first, within_s=0.6, probes_per_s=6.0),
            RetryAfterHonoured(window="two refuse"),
            TriesBounded(window="all refuse", tries_max=p.tries_max),
            RetriesWithinBudget(window="all refuse", **budget),
            RetriesSpread(window="retries"),
            ErrorsReadable(window="all refuse"),
            ErrorsReadable(window="all silent"),
            ErrorsFast(window="all silent", median_s=silence_s, worst_s=2 * silence_s + 0.5),
            RetriesWithinBudget(window="all silent", **budget),
        )
