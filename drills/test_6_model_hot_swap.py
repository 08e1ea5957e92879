"""Model swaps under traffic: bad candidates, a good one, an adapter's new revision, sleep and wake."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill import (
    CanaryShareBounded,
    Drill,
    EngineSleep,
    GoldenAnswersRight,
    MemorySteady,
    ModelRollout,
    NoFailures,
    ProbeSaid,
    RolloutEnded,
    SloMet,
    StreamsStream,
    Uniform,
    VersionsServed,
    burst,
    chat,
    golden,
    load_adapter,
    quality_observed,
)

BAD = {"v2-slow": "pot_s", "v2-params": "max_model_len", "v2-worse": "golden", "v2-damaged": "load"}
"""Candidate -> a word of the reason for which it has to be refused."""
REPEATED = [f"w:7.64+{seed}.32" for seed in range(12)]
"""Prompts that come again and again, so that an answer from a stale prefix cache would show."""
SLEEP = "Sleep really gives back what weights and KV cache held."
ADAPTERS = "A new revision of an adapter answers from the moment it is loaded."


@pytest.mark.drill_needs("Swappable", "Signallable", "Proxied")
@pytest.mark.drill_catches("M1", "M2", "M3", "M4", "M5", "M6", "M7", "M15", "M16", "M17", "M18", "M19", "R7")
def test_model_hot_swap(drill: Drill) -> None:
    """A candidate that is slower, worse, other in its parameters or damaged goes back by itself; a good one takes over
    without a failed request, a mixed answer or a stale cache; sleep, wake and a new adapter change nothing for anybody
    else."""
    short: dict[str, Any] = {"prompts": REPEATED, "output_tokens": Uniform(8, 20)}
    as_they_come = chat(rate=5, name="defaults", n=[1, 2], params={"temperature": None}, **short)
    drill.load(chat(rate=32, **short), as_they_come, golden(rate=5))
    with drill.window("whole"):
        drill.baseline(1.2)
        if drill.can("Sleepable", part=SLEEP):
            with quality_observed(drill, questions=8):
                sleep_and_wake(drill)
        if drill.can("Adaptable", part=ADAPTERS):
            load_two_revisions(drill)
        for candidate, reason in BAD.items():
            roll_out(drill, candidate, "rolled_back", reason)
        roll_out(drill, "v2", "promoted")
        with drill.window("after"):
            drill.hold(0.8)

    drill.expect(
        NoFailures(window="whole", classes=["chat", "defaults", "golden"]),
        SloMet(window="whole", classes=["chat"]),
        StreamsStream(window="baseline"),
        GoldenAnswersRight(window="whole"),
        MemorySteady(before="baseline", after="after"),
        VersionsServed(window="after", versions=["v2"] if not drill.control else [drill.promises.version]),
    )


def sleep_and_wake(drill: Drill) -> None:
    """One engine gives back what it holds, and serves again."""
    sleep = EngineSleep(drill.stack, drill.engines[0])
    drill.break_for(0.5, sleep, window="asleep")
    drill.observe("freed by sleep", sleep.freed_ratio, held_mib=sleep.held_bytes >> 20)
    drill.expect(ProbeSaid(name="freed by sleep", at_least=0.9, what=SLEEP))


def load_two_revisions(drill: Drill) -> None:
    """The same adapter's name loaded twice: each time the newest weights answer, and nobody else is touched."""
    urls = [replica.url for replica in drill.stack.replicas() if replica.role == "engine"]
    for revision in ("r1", "r2"):
        load_adapter(urls, name="sql", path=f"adapters/sql-{revision}")
        drill.hold(0.3)
        window, asked = f"adapter {revision}", f"sql-{revision}"
        drill.send(
            burst(24, over_s=0.4, model="sql", name=asked, prompts=REPEATED[:3], output_tokens=12), window=window
        )
        answers: dict[str, Any] = {"versions": [drill.promises.version], "adapter": f"adapters/{asked}"}
        drill.expect(VersionsServed(window=window, classes=[asked], **answers))
    drill.expect(NoFailures(window="adapter r2", classes=["sql-r2"]))


def roll_out(drill: Drill, candidate: str, state: str, reason: str = "") -> None:
    """Roll a candidate out, and say what has to come of it; one that the stack does not have is skipped."""
    if candidate not in drill.promises.candidates:
        drill.skip(f"A rollout of {candidate}.", f"stack {drill.stack.name!r} has no candidate {candidate!r}")
        return
    within_s = drill.promises.rollout_within_s
    rollout = ModelRollout(drill.stack, candidate)
    with drill.broken(rollout, window=candidate, deadline_s=within_s + 10):
        drill.wait_until(rollout.over, what=f"rollout/{candidate}", within_s=within_s, detail=rollout.view)
    drill.expect(RolloutEnded(candidate=candidate, state=state, reason_names=reason))
    if state == "rolled_back":
        seen = candidate == "v2-slow"  # the others are found out before any traffic
        share_max = 0.65 if seen else 0.0
        drill.expect(CanaryShareBounded(window=candidate, candidate=candidate, share_max=share_max, seen=seen))
