"""Restarts: an engine killed, one told to end, one whose core dies, with over a thousand requests under way
meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill import (
    AlertFired,
    DrainLosesNothing,
    Drill,
    EveryRequestResolved,
    EveryTryAnswered,
    HealthTellsTheTruth,
    NewTrafficStops,
    NoFailures,
    ProcessKill,
    ProcessRestart,
    ReadyMeansFast,
    SloMet,
    StallBounded,
    StreamsStream,
    Uniform,
    came_back,
    chat,
    code,
    good_again,
    served,
    summary,
    unnoticed,
)

CORE = "An engine whose core dies behind its living server."


@pytest.mark.drill_needs("Signallable", "Supervised", "Proxied")
@pytest.mark.drill_catches("R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R12", "G1", "T7", "T8", "T9")
def test_node_restart(drill: Drill) -> None:
    """Engines come and go and users do not notice: broken streams go on token by token, a drain loses nothing, a dead
    core is seen, who says ready is fast, and every one of a thousand requests is resolved by its deadline."""
    stack, engines, p = drill.stack, drill.engines, drill.promises
    first, second, third = engines[0], engines[1], engines[-1]
    short: dict[str, Any] = {"prompt_words": Uniform(10, 30), "output_tokens": Uniform(4, 8), "prefix_words": 0}
    with drill.window("churn"):
        churn = drill.load(
            chat(rate=16, stream=0.8), chat(rate=68, name="short", **short), code(rate=4), summary(rate=2)
        )
        drill.baseline(1.6)
        drill.break_for(1.0, ProcessKill(stack, first), window="killed")
        drill.hold(0.6)
        drill.keep_open(name="open")
        drill.break_for(max(1.2, p.drain_s + 0.7), ProcessRestart(stack, second), window="told to end")
        drill.hold(0.6)
        if has_cores := drill.can("Signallable:core", part=CORE):
            drill.break_for(1.0, ProcessKill(stack, third, part="core"), window="core dead")
        with drill.window("recover"):
            drill.hold(2.6)
            drill.wait_until(lambda: churn.load.sent > 1050, what="a thousand requests", within_s=15 * p.pace)

    drill.expect(
        served("baseline", "chat", requests_min=5),
        StreamsStream(window="baseline"),
        unnoticed("churn", ttft_s_max=p.failover_ttft_s),
        SloMet(window="churn", classes=["summary"]),
        EveryTryAnswered(window="churn"),
        EveryRequestResolved(window="churn", requests_min=1000),
        NoFailures(window="told to end"),
        StallBounded(window="told to end", stall_s_max=0.6 * p.idle_timeout_s),
        NewTrafficStops(window="told to end", replica=second, within_s=p.drain_s),
        DrainLosesNothing(replica=second),
        came_back(first, window="killed"),
        (ReadyMeansFast(replica=engine) for engine in (engines if has_cores else (first, second))),
        good_again("chat", after="core dead" if has_cores else "told to end"),
    )
    if has_cores:
        drill.expect(
            HealthTellsTheTruth(replica=third, fault="process_kill"), AlertFired(replica=third, window="core dead")
        )
