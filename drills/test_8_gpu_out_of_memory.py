"""GPU memory: a device that is full, and an engine that has to start again on it."""

from __future__ import annotations

import pytest

from servedrill import (
    Drill,
    GoodputRecovers,
    GpuBallast,
    NoFailures,
    ProbeSaid,
    ProcessKill,
    StreamsStream,
    chat,
    served,
)

BACK = "What a dead engine held on its GPU is free before it starts again: no more is held after the drill than before."


@pytest.mark.drill_needs("Gpu", "Signallable", "Supervised")
@pytest.mark.drill_catches("O1", "O8", "R12", "M13")
def test_gpu_out_of_memory(drill: Drill) -> None:
    """A full GPU costs a running engine nothing; one that dies on it comes back by itself when there is memory again,
    and holds no more than it did before."""
    stack, (first, *_) = drill.stack, drill.engines
    drill.load(chat(rate=10))
    drill.baseline(3.0)
    held = sum(gpu.used_bytes for gpu in stack.gpus())
    drill.break_for(3.0, GpuBallast(stack, first), window="full")
    drill.break_for(6.0, ProcessKill(stack, first), GpuBallast(stack, first), window="killed on a full GPU")
    drill.recover(6.0)
    drill.observe("held after", sum(gpu.used_bytes for gpu in stack.gpus()) / held, before_mib=held >> 20)

    drill.expect(
        served("baseline", "chat"),
        StreamsStream(window="baseline"),
        NoFailures(window="full"),
        ProbeSaid(name="held after", at_most=1.02, what=BACK),
        GoodputRecovers(after="killed on a full GPU"),
    )
