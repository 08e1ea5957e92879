"""Restarts: an engine killed, one told to end, one whose core dies, with over a thousand requests under way meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill.checkers.answered import (
    BrokenStreamsSaidSo,
    EveryRequestResolved,
    FirstTokenBounded,
    NoFailureBeforeFirstToken,
    NoFailures,
    StallBounded,
)
from servedrill.checkers.recovery import GoodputRecovers, NewTrafficStops, ShareRestored, SloMet
from servedrill.checkers.replicas import (
    AlertFired,
    DrainLosesNothing,
    HealthTellsTheTruth,
    MemoryBackBeforeRestart,
    ReadyMeansFast,
)
from servedrill.checkers.retries import EveryTryAnswered
from servedrill.drill.context import Drill
from servedrill.drill.traffic import chat, code, summary
from servedrill.faults.process import ProcessKill, ProcessRestart
from servedrill.load.lengths import Uniform


@pytest.mark.needs("Signallable", "Supervised", "Proxied")
@pytest.mark.catches("R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R12", "G1", "T7", "T8", "T9")
def test_node_restart(drill: Drill) -> None:
    """Engines come and go and users do not notice: broken streams go on token by token, a drain loses nothing, a dead core is seen,
    who says ready is fast, and every one of a thousand requests is resolved by its deadline."""
    stack, p, model = drill.stack, drill.promises, drill.model
    engines = drill.names("engine")
    first, second, third = engines[0], engines[1], engines[-1]
    short: dict[str, Any] = {"prompt_words": Uniform(10, 30), "output_tokens": Uniform(4, 8), "prefix_words": 0}
    with drill.window("churn"):
        churn = drill.load(
            chat(rate=16, model=model, stream=0.8),
            summary(rate=2, model=model),
            code(rate=4, model=model),
            chat(rate=60, model=model, name="short", **short),
        )
        drill.baseline(1.6)
        with drill.broken(ProcessKill(stack, first), window="killed"):
            drill.hold(1.0)
        drill.hold(0.6)
        drill.keep_open(name="open")
        with drill.broken(ProcessRestart(stack, second), window="told to end"):
            drill.hold(1.2)
        drill.hold(0.6)
        with drill.broken(ProcessKill(stack, third, part="core"), window="core dead"):
            drill.hold(1.0)
        with drill.window("recover"):
            drill.hold(3.0)
            drill.wait_until(lambda: churn.load.sent > 1050, what="a thousand requests", within_s=15)

    drill.expect(
        NoFailures(window="baseline"),
        SloMet(window="baseline", classes=["chat"], requests_min=5),
        SloMet(window="churn", classes=["summary"]),
        NoFailureBeforeFirstToken(window="churn"),
        EveryTryAnswered(window="churn"),
        FirstTokenBounded(window="churn", ttft_s_max=p.failover_ttft_s),
        BrokenStreamsSaidSo(window="churn", resumes=p.resumes_streams),
        StallBounded(window="churn", stall_s_max=p.idle_timeout_s + 0.5),
        NoFailures(window="told to end"),
        StallBounded(window="told to end", stall_s_max=0.6),
        DrainLosesNothing(replica=second),
        HealthTellsTheTruth(replica=third, fault="process_kill", within_s=p.health_within_s),
        NewTrafficStops(window="told to end", replica=second, within_s=0.5),
        MemoryBackBeforeRestart(replica=first, window="killed"),
        *(ReadyMeansFast(replica=engine, first_token_s_max=p.ready_first_token_s) for engine in engines),
        EveryRequestResolved(window="churn", requests_min=1000),
        ShareRestored(window="recover", replicas=engines, last_s=2.5 * p.pace),
        GoodputRecovers(after="core dead", within_s=p.recovers_within_s, bucket_s=0.5 * p.pace),
    )
    alert: dict[str, Any] = {
        "alert": p.down_alert,
        "within_s": p.alert_within_s,
        "resolves_within_s": p.restart_within_s,
    }
    drill.expect(
        AlertFired(replica=first, window="killed", **alert),
        AlertFired(replica=third, window="core dead", **alert),
        needs="Alerting",
    )
