"""Cancels: a crowd that waits in vain, and hundreds of clients that hang up at every point of a request's life."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill import (
    CancelsCovered,
    CapacityKept,
    Drill,
    ErrorsReadable,
    GenerationStops,
    LittleWasted,
    MemorySteady,
    NoFailures,
    NothingLeft,
    Poisson,
    ProcessesUnchanged,
    SocketsReturn,
    StallBounded,
    StreamsStream,
    burst,
    cancel_storm,
    cancels,
    chat,
)


@pytest.mark.drill_catches(
    "C1", "C2", "C3", "C5", "C6", "C7", "C8", "C9", "C10", "C11", "C12", "C13", "C14", "S1", "B2", "B5"
)
def test_cancel_storm(drill: Drill) -> None:
    """Hundreds of clients wait in vain or hang up, queued, in prefill or in mid-answer: within a second nothing is
    generated for them, all they held is free again while the stack idles, nobody else noticed, and the full capacity is
    there."""
    more_than_all = drill.promises.slots + drill.promises.slots // 2
    fill: dict[str, Any] = {"over_s": 0.05, "output_tokens": 32, "prompt_words": 40}
    drill.send(burst(more_than_all, name="probe-before", **fill))
    with drill.window("idle"):
        drill.hold(1.0)
    if not drill.control:
        gives_up = cancels(points={f"{drill.promises.first_token_timeout_s + 0.3:g}": 1})
        drill.send(burst(200, name="crowd", over_s=0.1, stream=0, output_tokens=120, cancel=gives_up), window="crowd")
    with drill.window("storm"):
        bystanders = drill.load(chat(rate=8, arrivals=Poisson(rate=8, stop_s=3.2)))
        if not drill.control:
            drill.send(*cancel_storm(656, over_s=3.9), within_s=20)
        bystanders.wait(within_s=20)
    with drill.window("quiet"):
        drill.hold(1.6)
    drill.send(burst(more_than_all, name="probe-after", **fill))

    if drill.refuses("overload"):
        drill.expect(ErrorsReadable(window="crowd"))
    drill.expect(
        CancelsCovered(window="storm"),
        NoFailures(window="storm", classes=["chat"]),
        StallBounded(window="storm", classes=["chat"], stall_s_max=0.8 * drill.promises.idle_timeout_s),
        StreamsStream(window="storm", classes=["chat"]),
        ProcessesUnchanged(window="storm"),
        LittleWasted(window="storm"),
        NothingLeft(window="idle", within_s=0.4),
        NothingLeft(window="quiet"),
        GenerationStops(window="quiet"),
        SocketsReturn(before="idle", window="quiet"),
        MemorySteady(before="idle", after="quiet"),
        CapacityKept(before="probe-before", after="probe-after"),
    )
