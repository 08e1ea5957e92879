"""Model swaps under traffic: bad candidates, a good one, an adapter's new revision, sleep and wake."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill.checkers.answered import NoFailures
from servedrill.checkers.integrity import GoldenAnswersRight
from servedrill.checkers.recovery import SloMet
from servedrill.checkers.replicas import MemorySteady
from servedrill.checkers.swap import CanaryShareBounded, ProbeSaid, RolloutEnded, VersionsServed
from servedrill.drill.context import Drill
from servedrill.drill.traffic import burst, chat, golden
from servedrill.faults.rollout import ModelRollout
from servedrill.faults.serving import EngineSleep, load_adapter
from servedrill.load.lengths import Uniform

BAD = {"v2-slow": "pot_s", "v2-params": "max_model_len", "v2-worse": "golden", "v2-damaged": "load"}
SLEEP = "Sleep really gives back what weights and KV cache held."
ADAPTERS = "A new revision of an adapter answers from the moment it is loaded."


@pytest.mark.needs("Swappable", "Signallable", "Proxied")
@pytest.mark.catches("M1", "M2", "M3", "M4", "M5", "M6", "M7", "M15", "M16", "M17", "M18", "M19", "R7")
def test_model_hot_swap(drill: Drill) -> None:
    """A candidate that is slower, worse, other in its parameters or damaged goes back by itself; a good one takes over without a failed
    request, a mixed answer or a stale cache; sleep, wake and a new adapter change nothing for anybody else."""
    stack, p, model = drill.stack, drill.promises, drill.model
    engines = [replica for replica in stack.replicas() if replica.role == "engine"]
    repeated = [f"w:7.64+{seed}.32" for seed in range(12)]
    short: dict[str, Any] = {"model": model, "prompts": repeated, "output_tokens": Uniform(8, 20)}
    drill.load(
        chat(rate=26, **short),
        chat(rate=5, name="defaults", n=[1, 2], **{**short, "params": {"temperature": None}}),
        golden(rate=5, model=model),
    )
    with drill.window("whole"):
        drill.baseline(1.5)
        if drill.can("Sleepable", part=SLEEP):
            with drill.broken(sleep := EngineSleep(stack, engines[0].name), window="asleep"):
                drill.hold(0.5)
            drill.observe("freed by sleep", sleep.freed_ratio, held_mib=sleep.held_bytes >> 20)
            drill.expect(ProbeSaid(name="freed by sleep", at_least=0.9, what=SLEEP))
        for revision in ("r1", "r2") if drill.can("Adaptable", part=ADAPTERS) else ():
            load_adapter([engine.url for engine in engines], name="sql", path=f"adapters/sql-{revision}")
            drill.hold(0.3)
            with drill.window(f"adapter {revision}"):
                drill.load(burst(24, over_s=0.4, model="sql", name=f"sql-{revision}", prompts=repeated[:3])).wait(
                    within_s=10
                )
            drill.expect(
                VersionsServed(
                    window=f"adapter {revision}",
                    versions=[p.version],
                    adapter=f"adapters/sql-{revision}",
                    classes=[f"sql-{revision}"],
                ),
            )
            if revision == "r2":
                drill.expect(NoFailures(window="adapter r2", classes=["sql-r2"]))
        for candidate, state in {**dict.fromkeys(BAD, "rolled_back"), "v2": "promoted"}.items():
            if candidate not in p.candidates:
                drill.skip(f"A rollout of {candidate}.", f"stack {stack.name!r} has no candidate {candidate!r}")
                continue
            within_s = p.rollout_within_s
            with drill.broken(rollout := ModelRollout(stack, candidate), window=candidate, deadline_s=within_s + 10):
                drill.wait_until(rollout.over, what=f"rollout/{candidate}", within_s=within_s, detail=rollout.view)
            drill.expect(RolloutEnded(candidate=candidate, state=state, reason_names=BAD.get(candidate, "")))
            if candidate in BAD:
                seen = candidate == "v2-slow"  # the others are found out before any traffic
                share_max = 0.65 if seen else 0.0
                drill.expect(CanaryShareBounded(window=candidate, candidate=candidate, share_max=share_max, seen=seen))
        with drill.window("after"):
            drill.hold(1.0)

    drill.expect(
        NoFailures(window="whole", classes=["chat", "defaults", "golden"]),
        SloMet(window="whole", classes=["chat"]),
        GoldenAnswersRight(window="whole"),
        MemorySteady(before="baseline", after="after"),
        VersionsServed(window="after", versions=["v2"] if not drill.control else [p.version]),
    )
