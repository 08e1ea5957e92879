"""Memory: limits that refuse or preempt, and a real kill at one."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill import (
    SAMPLED,
    AdmissionBounded,
    BreakersClosed,
    Drill,
    HealthTellsTheTruth,
    KvPoolFilled,
    MemoryBallast,
    NoFailures,
    OutputBounded,
    OverloadRefused,
    ProcessesUnchanged,
    Promises,
    RefusedWith,
    RequestClass,
    StreamsStream,
    Uniform,
    burst,
    came_back,
    chat,
    code,
    good_again,
    served,
    unnoticed,
)

TOO_MUCH = ["long-prompt", "long-output", "long-output-code", "many-choices"]
ENDLESS = ["endless-chat", "endless-code"]
JUST_RIGHT = ["chat", "code", "longest", "widest", *ENDLESS]
ONE_ENGINE = "One engine filled to its last KV block, and flooded."
KILLED = "An engine killed at a memory limit."


@pytest.mark.drill_uses("MemoryLimited")
@pytest.mark.drill_catches("O1", "O2", "O3", "O4", "O5", "O8", "O11", "R12", "B1", "B6", "T11", "T12")
def test_out_of_memory(drill: Drill) -> None:
    """Too much is refused or preempted and hurts nobody else; when an engine is killed for its memory,
    traffic goes elsewhere, somebody is told, and the memory is back before the engine starts again."""
    drill.load(chat(rate=14), code(rate=4))
    drill.baseline(1.6)
    drill.send(*at_and_above_the_caps(drill.promises), window="caps")
    drill.send(burst(280, name="crowd", over_s=0.3, output_tokens=80), window="crowd")
    if drill.can("Scrapable:engines", part=ONE_ENGINE):
        fill_and_flood(drill, drill.engines[-1])
    if drill.can("MemoryLimited", part=KILLED):
        kill_by_memory(drill, drill.engines[0])

    drill.expect(
        served("baseline", "chat", "code", requests_min=3),
        StreamsStream(window="baseline"),
        RefusedWith(window="caps", classes=TOO_MUCH, statuses=[400]),
        OutputBounded(window="caps", classes=ENDLESS),
        NoFailures(window="caps", classes=JUST_RIGHT),
        OverloadRefused(window="crowd", classes=["crowd"], refused_min=20),
        BreakersClosed(window="crowd"),
        AdmissionBounded(window="crowd"),
        (ProcessesUnchanged(window=window) for window in ("caps", "crowd")),
    )


def fill_and_flood(drill: Drill, victim: str) -> None:
    """More than one engine's KV pool holds, then more than it lets wait, past the gateways that would hold it back."""
    heavy = burst(16, name="heavy", over_s=0.02, prompt_words=Uniform(640, 760), output_tokens=96, prefix_words=0)
    drill.send(heavy, to=victim, window="full")
    drill.send(burst(90, name="flood", over_s=0.1, stream=0.5), to=victim, window="flood")
    drill.expect(
        KvPoolFilled(window="full", replica=victim),
        NoFailures(window="full", classes=["heavy", "chat"]),
        OverloadRefused(window="flood", classes=["flood"]),
        AdmissionBounded(window="flood"),
        (ProcessesUnchanged(window=window) for window in ("full", "flood")),
    )


def kill_by_memory(drill: Drill, victim: str) -> None:
    """An engine's core is killed for its memory; users notice nothing, and it comes back when memory does."""
    ballast = MemoryBallast(drill.stack, victim)
    alert = drill.promises.oom_alert if ballast.by_kernel else drill.promises.down_alert
    drill.settle()
    with drill.window("outage"):
        drill.break_for(1.0, ballast, window="killed")
    drill.recover(2.8)
    drill.expect(
        unnoticed("outage"),
        HealthTellsTheTruth(replica=victim, fault="memory_ballast"),
        came_back(victim, window="killed", alert=alert),
        good_again("chat", after="killed"),
    )


def at_and_above_the_caps(p: Promises) -> list[RequestClass]:
    """Requests as large as the stack takes, some that are larger by one, and some that name no limit."""
    few: dict[str, Any] = {"over_s": 0.5, "stream": 0.5}
    short: dict[str, Any] = {"prefix_words": 0, "output_tokens": 8, **few}
    endless: dict[str, Any] = {"n": [1, 2], "output_tokens": None, "params": {"ignore_eos": True, **SAMPLED}, **few}
    room = p.max_model_len - 8 - 2  # a chat adds one token before and one after its message
    return [
        burst(6, name="longest", prompt_words=room, **short),
        burst(10, name="long-prompt", prompt_words=room + 1, **short),
        burst(10, name="long-output", output_tokens=p.max_tokens_cap + 1, **few),
        burst(10, name="long-output-code", route="completions", output_tokens=p.max_tokens_cap + 1, **few),
        burst(4, name="widest", n=p.max_n, output_tokens=8, params=SAMPLED, **few),
        burst(10, name="many-choices", n=p.max_n + 1, params=SAMPLED, **few),
        burst(6, name="endless-chat", **endless),
        burst(6, name="endless-code", route="completions", **endless),
    ]
