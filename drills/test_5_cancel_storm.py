"""Cancels: hundreds of clients that hang up, at every point of a request's life."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill.checkers.answered import NoFailures
from servedrill.checkers.conservation import (
    CancelsCovered,
    CapacityKept,
    GenerationStops,
    LittleWasted,
    NothingLeft,
    SocketsReturn,
)
from servedrill.checkers.replicas import MemorySteady, ProcessesUnchanged
from servedrill.drill.context import Drill
from servedrill.drill.traffic import burst, cancel_storm, chat
from servedrill.load.arrivals import Poisson


@pytest.mark.needs("Signallable", "Proxied")
@pytest.mark.catches("C1", "C2", "C3", "C5", "C6", "C7", "C8", "C9", "C10", "C11", "C12", "C13", "C14", "S1", "B2")
def test_cancel_storm(drill: Drill) -> None:
    """Five hundred clients hang up, queued, in prefill or in mid-answer: within a second nothing is generated for them, all they held is
    free again while the stack idles, nobody else noticed, and the full capacity is there."""
    model, slots = drill.model, drill.promises.slots
    fill: dict[str, Any] = {"over_s": 0.05, "model": model, "output_tokens": 32, "prompt_words": 40}
    drill.load(burst(slots + slots // 2, name="probe-before", **fill)).wait(within_s=20)
    with drill.window("idle"):
        drill.hold(1.2)
    with drill.window("storm"):
        bystanders = drill.load(chat(rate=8, model=model, arrivals=Poisson(rate=8, stop_s=3.2)))
        if not drill.control:
            drill.load(*cancel_storm(600, over_s=4.0, model=model)).wait(within_s=20)
        bystanders.wait(within_s=20)
    with drill.window("quiet"):
        drill.hold(2.6)
    drill.load(burst(slots + slots // 2, name="probe-after", **fill)).wait(within_s=20)

    drill.expect(
        NoFailures(window="storm", classes=["chat"]),
        ProcessesUnchanged(window="storm"),
        NothingLeft(window="idle", within_s=0.4),
        NothingLeft(window="quiet"),
        GenerationStops(window="quiet"),
        SocketsReturn(before="idle", window="quiet"),
        MemorySteady(before="idle", after="quiet"),
        CapacityKept(before="probe-before", after="probe-after", ratio_min=drill.promises.capacity_ratio_min),
    )
    if not drill.control:
        drill.expect(CancelsCovered(window="storm"), LittleWasted(window="storm"))
