"""Overload: one tenant asks for twice what there is, one uses up its quota, one sends prompts that fill a step."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill import (
    BreakersClosed,
    CapacityKept,
    Drill,
    ErrorsReadable,
    GoodputRecovers,
    NoFailures,
    OldestFirst,
    OverloadRefused,
    Poisson,
    ProcessesUnchanged,
    QuotaKept,
    RequestClass,
    SloMet,
    StallBounded,
    StreamsStream,
    Uniform,
    bad_requests,
    burst,
    chat,
)


@pytest.mark.drill_needs("Tenanted", "Proxied:engines")
@pytest.mark.drill_catches("B1", "B2", "B3", "B7", "G2", "G9", "O6")
def test_overload_and_fairness(drill: Drill) -> None:
    """Twice the load that there is room for, from one tenant, costs the others nothing: everybody gets a share, who
    came first goes first, what is refused is not paid for, and all the capacity is there afterwards."""
    p, (steady, greedy), (metered, tokens) = drill.promises, drill.stack.tenants(), drill.stack.metered()
    drill.send(fills_every_slot(drill, "full-before"))
    users = drill.load(chat(rate=10, name="chat-steady", api_key=steady))
    drill.baseline(1.8)
    flood = Poisson(rate=2 * p.slots, stop_s=3.5)
    answers: dict[str, Any] = {"stream": 0.7, "output_tokens": Uniform(32, 48)}
    drill.send(chat(rate=1, name="flood", arrivals=flood, api_key=greedy, **answers), window="flood")
    drill.hold(0.5)
    with drill.window("metered"):
        drill.send(bad_requests(24, over_s=0.4, api_key=metered))
        drill.send(burst(90, over_s=0.6, name="metered", api_key=metered, output_tokens=16))
    hog: dict[str, Any] = {"prompt_words": p.max_model_len - 90, "prefix_words": 0, "output_tokens": 1, "stream": 0}
    drill.send(burst(20, over_s=0.1, name="hog", api_key=greedy, **hog), window="hogs")
    drill.recover(2.8)
    users.stop()
    drill.send(fills_every_slot(drill, "full-after"))

    crowded = ("flood", "metered", "hogs")
    drill.expect(
        NoFailures(window="baseline", requests_min=4),
        SloMet(window="baseline", classes=["chat-steady"], requests_min=4),
        StreamsStream(window="baseline", streams_min=3),
        OverloadRefused(window="flood", classes=["flood"], refused_min=20),
        ErrorsReadable(window="flood"),
        BreakersClosed(window="flood"),
        OldestFirst(window="flood", classes=["flood"]),
        (NoFailures(window=window, classes=["chat-steady"], requests_min=4) for window in crowded),
        (SloMet(window=window, classes=["chat-steady"], requests_min=4) for window in ("flood", "metered")),
        StallBounded(window="hogs", classes=["chat-steady"], stall_s_max=0.4 * p.idle_timeout_s),
        QuotaKept(window="metered", classes=["metered"], tokens_per_minute=tokens),
        *(ProcessesUnchanged(window=window) for window in crowded),
        GoodputRecovers(after="hogs", requests_min=10),
        CapacityKept(before="full-before", after="full-after", ratio_min=0.85),
    )


def fills_every_slot(drill: Drill, name: str) -> RequestClass:
    """As many at once as there are slots: full, and never too much."""
    return burst(drill.promises.slots, over_s=0.05, name=name, output_tokens=48, prompt_words=40)
