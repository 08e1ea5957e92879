"""Gray failures: what is ill and does not say so. A frozen core, a slow engine, one that flaps, and a standstill."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill import (
    Down,
    Drill,
    EngineGaugesTrue,
    ErrorsFast,
    ErrorsReadable,
    GoodputRecovers,
    HealthTellsTheTruth,
    NewTrafficStops,
    NoFailures,
    ProcessPause,
    ProgressAlerted,
    Settled,
    ShareRestored,
    SloMet,
    StreamsStream,
    Uniform,
    chat,
    code,
    served,
    token_rate,
    unnoticed,
)


@pytest.mark.drill_needs("Signallable:core", "Proxied:engines")
@pytest.mark.drill_catches("S1", "S2", "S4", "S6", "G1", "G11", "G12", "T14")
def test_gray_failure(drill: Drill) -> None:
    """An engine that is frozen behind a living server, ten times as slow or in and out is left alone in time, users
    are served well by the others, and when nothing at all gets on somebody is told."""
    stack, (first, second, *_), p = drill.stack, drill.engines, drill.promises
    third, noticed_s = drill.engines[-1], p.detect_s + 0.5
    short: dict[str, Any] = {"prompt_words": Uniform(20, 60), "output_tokens": Uniform(8, 12), "stream": 1.0}
    drill.load(chat(rate=16, stream=0.8), code(rate=44, **short))
    drill.baseline(2.0)
    with drill.window("one engine"):
        drill.break_for(noticed_s + 0.8, ProcessPause(stack, first, part="core"), window="frozen")
        drill.settle()
        with drill.broken(token_rate(stack, second, tokens_per_s=6), window="slow"):
            drill.hold(noticed_s)
            with drill.window("slow, and noticed"):
                drill.hold(2.0)
        drill.settle()
        for turn in range(3):
            drill.break_for(0.7, Down(stack, third), window=f"flap {turn}")
            drill.hold(0.4)
        drill.settle()
    drill.hold(1.4)  # who was being answered is done before everything stands still
    cores = [ProcessPause(stack, engine, part="core") for engine in drill.engines]
    drill.break_for(p.progress_alert_within_s + 0.2, *cores, window="standstill")
    with drill.window("recover"):
        drill.hold(1.8)
        with drill.window("well again"):
            drill.hold(1.6)

    drill.expect(
        served("baseline", "chat", "code"),
        StreamsStream(window="baseline"),
        EngineGaugesTrue(window="baseline"),
        unnoticed("one engine"),
        HealthTellsTheTruth(replica=first, fault="process_pause", within_s=p.frozen_within_s),
        NewTrafficStops(window="frozen", replica=first),
        NewTrafficStops(window="slow", replica=second, within_s=noticed_s, probes_per_s=1.0),
        SloMet(window="slow, and noticed", classes=["code"]),
        NoFailures(window="one engine"),
        Settled(settles_min=3),
        ErrorsReadable(window="standstill"),
        ErrorsFast(window="standstill"),
        ProgressAlerted(window="standstill"),
        GoodputRecovers(after="standstill", within_s=p.recovers_within_s + 1.0),
        ShareRestored(window="recover"),
        SloMet(window="well again", classes=["chat"]),
    )
