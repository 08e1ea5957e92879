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
    TooMuch,
    Uniform,
    burst,
    came_back,
    chat,
    code,
    good_again,
    served,
    unnoticed,
)

TOO_MUCH = {"long-prompt", "long-output", "long-output-code", "many-choices"}
ENDLESS = {"endless-chat", "endless-code"}
ONE_ENGINE = "One engine filled to its last KV block, and flooded."
KILLED = "An engine killed at a memory limit."


@pytest.mark.drill_uses("MemoryLimited")
@pytest.mark.drill_catches("O1", "O2", "O3", "O4", "O5", "O8", "O11", "R12", "B1", "B6", "T11", "T12")
def test_out_of_memory(drill: Drill) -> None:
    """Too much is refused or preempted and hurts nobody else; when an engine is killed for its memory,
    traffic goes elsewhere, somebody is told, and the memory is back before the engine starts again."""
    drill.load(chat(rate=14), code(rate=4))
    drill.baseline(1.6)
    caps = at_and_above_the_caps(drill.promises)
    if asked := [cls for what, classes in caps.items() if drill.refuses(what) for cls in classes]:
        ask_at_the_caps(drill, asked)
    if drill.refuses("overload"):
        let_a_crowd_in(drill)
    if drill.can("Scrapable:engines", part=ONE_ENGINE):
        fill_and_flood(drill, drill.engines[-1])
    if drill.can("MemoryLimited", part=KILLED):
        kill_by_memory(drill, drill.engines[0])

    drill.expect(
        served("baseline", "chat", "code", requests_min=3),
        StreamsStream(window="baseline"),
    )


def ask_at_the_caps(drill: Drill, asked: list[RequestClass]) -> None:
    """What is too large by one is refused, what is just right is served, and whoever names no limit has one."""
    names = {cls.name for cls in asked}
    drill.send(*asked, window="caps")
    drill.expect(
        RefusedWith(window="caps", classes=sorted(names & TOO_MUCH), statuses=[400]),
        NoFailures(window="caps", classes=["chat", "code", *sorted(names - TOO_MUCH)]),
        ProcessesUnchanged(window="caps"),
    )
    if names & ENDLESS:
        drill.expect(OutputBounded(window="caps", classes=sorted(names & ENDLESS)))


def let_a_crowd_in(drill: Drill) -> None:
    """Far more at once than there is room for."""
    drill.send(burst(280, name="crowd", over_s=0.3, output_tokens=80), window="crowd")
    drill.expect(
        OverloadRefused(window="crowd", classes=["crowd"], refused_min=20),
        BreakersClosed(window="crowd"),
        AdmissionBounded(window="crowd"),
        ProcessesUnchanged(window="crowd"),
    )


def fill_and_flood(drill: Drill, victim: str) -> None:
    """More than one engine's KV pool holds, then more than it lets wait, past the gateways that would hold it back."""
    p = drill.promises
    words = min(760, p.words_within(p.max_model_len - 96 - 2))
    heavy = burst(
        16, name="heavy", over_s=0.02, prompt_words=Uniform(words * 16 // 19, words), output_tokens=96, prefix_words=0
    )
    drill.send(heavy, to=victim, window="full")
    drill.expect(
        KvPoolFilled(window="full", replica=victim),
        NoFailures(window="full", classes=["heavy", "chat"]),
        ProcessesUnchanged(window="full"),
    )
    if drill.refuses("overload"):
        drill.send(burst(90, name="flood", over_s=0.1, stream=0.5), to=victim, window="flood")
        drill.expect(
            OverloadRefused(window="flood", classes=["flood"]),
            AdmissionBounded(window="flood"),
            ProcessesUnchanged(window="flood"),
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


def at_and_above_the_caps(p: Promises) -> dict[TooMuch, list[RequestClass]]:
    """Requests as large as the stack takes, some that are larger by one, and some that name no limit; by what would be
    too much of them."""
    few: dict[str, Any] = {"over_s": 0.5, "stream": 0.5}
    short: dict[str, Any] = {"prefix_words": 0, "output_tokens": 8, **few}
    endless: dict[str, Any] = {"n": [1, 2], "output_tokens": None, "params": {"ignore_eos": True, **SAMPLED}, **few}
    room = p.max_model_len - 8 - 2  # a chat adds one token before and one after its message
    return {
        "prompt": [
            burst(6, name="longest", prompt_words=p.words_within(room), **short),
            burst(10, name="long-prompt", prompt_words=p.words_beyond(room), **short),
        ],
        "output": [
            burst(10, name="long-output", output_tokens=p.max_tokens_cap + 1, **few),
            burst(10, name="long-output-code", route="completions", output_tokens=p.max_tokens_cap + 1, **few),
        ],
        "endless": [
            burst(6, name="endless-chat", **endless),
            burst(6, name="endless-code", route="completions", **endless),
        ],
        "choices": [
            burst(4, name="widest", n=p.max_n, output_tokens=8, params=SAMPLED, **few),
            burst(10, name="many-choices", n=p.max_n + 1, params=SAMPLED, **few),
        ],
    }
