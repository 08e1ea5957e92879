"""Nodes that are lost while their processes live: one is cut off from its network, one is frozen whole."""

from __future__ import annotations

import pytest

from servedrill import (
    ContainerPause,
    Drill,
    NetworkCut,
    NewTrafficStops,
    Settled,
    StreamsStream,
    chat,
    code,
    good_again,
    served,
    unnoticed,
)


@pytest.mark.drill_needs("Containerised", "Proxied")
@pytest.mark.drill_catches("T6", "T14", "G3", "G6", "G9", "R10", "S2")
def test_lost_node(drill: Drill) -> None:
    """A node that drops off the network, or freezes whole, costs nobody an answer: its streams go on elsewhere, new
    requests avoid it, and it has its share again when it is back."""
    stack, (first, second, *_) = drill.stack, drill.engines
    drill.load(chat(rate=20, stream=0.8, retries=1), code(rate=6, retries=1))
    drill.baseline(2.0)
    with drill.window("lost"):
        drill.keep_open(name="open-cut")
        drill.break_for(3.5, NetworkCut(stack, first), window="cut off")
        drill.settle()
        drill.keep_open(name="open-frozen")
        drill.break_for(3.5, ContainerPause(stack, second), window="frozen")
        drill.settle()
    drill.recover(3.0)

    drill.expect(
        served("baseline", "chat", "code"),
        StreamsStream(window="baseline"),
        unnoticed("lost"),
        NewTrafficStops(window="cut off", replica=first),
        NewTrafficStops(window="frozen", replica=second),
        Settled(settles_min=2),
        good_again("chat", "code", after="frozen"),
    )
