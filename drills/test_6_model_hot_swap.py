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


@pytest.mark.needs("Swappable", "Sleepable", "Signallable", "Proxied")
@pytest.mark.catches("M1", "M2", "M3", "M4", "M5", "M6", "M7", "M15", "M16", "M17", "M18", "M19", "R7")
def test_model_hot_swap(drill: Drill) -> None:
    """A candidate that is slower, worse, other in its parameters or damaged goes back by itself; a good one takes over without a failed
    request, a mixed answer or a stale cache; sleep, wake and a new adapter change nothing for anybody else."""
    stack, p, model = drill.stack, drill.promises, drill.model
    urls = [replica.url for replica in stack.replicas() if replica.role == "engine"]
    repeated = [f"w:7.64+{seed}.32" for seed in range(12)]
    short: dict[str, Any] = {"model": model, "prompts": repeated, "output_tokens": Uniform(8, 20)}
    drill.load(
        chat(rate=26, **short),
        chat(rate=5, name="defaults", n=[1, 2], **{**short, "params": {"temperature": None}}),
        golden(rate=5, model=model),
    )
    with drill.window("whole"):
        drill.baseline(1.5)
        with drill.broken(sleep := EngineSleep(stack, "engine-0"), window="asleep"):
            drill.hold(0.5)
        drill.observe("freed by sleep", sleep.freed_ratio, held_mib=sleep.held_bytes >> 20)
        for revision in ("r1", "r2"):
            load_adapter(urls, name="sql", path=f"adapters/sql-{revision}")
            drill.hold(0.3)
            with drill.window(f"adapter {revision}"):
                drill.load(burst(24, over_s=0.4, model="sql", name=f"sql-{revision}", prompts=repeated[:3])).wait(
                    within_s=10
                )
        for candidate, state in {**dict.fromkeys(BAD, "rolled_back"), "v2": "promoted"}.items():
            with drill.broken(rollout := ModelRollout(stack, candidate), window=candidate):
                drill.wait_until(rollout.over, what=f"rollout/{candidate}", within_s=20, detail=rollout.view)
            drill.expect(RolloutEnded(candidate=candidate, state=state, reason_names=BAD.get(candidate, "")))
        with drill.window("after"):
            drill.hold(1.0)

    drill.expect(
        NoFailures(window="whole", classes=["chat", "defaults", "golden"]),
        SloMet(window="whole", classes=["chat"]),
        GoldenAnswersRight(window="whole"),
        MemorySteady(before="baseline", after="after"),
        ProbeSaid(name="freed by sleep", at_least=0.9, what="Sleep really gives back what weights and KV cache held."),
        VersionsServed(window="adapter r1", versions=[p.version], adapter="adapters/sql-r1", classes=["sql-r1"]),
        VersionsServed(window="adapter r2", versions=[p.version], adapter="adapters/sql-r2", classes=["sql-r2"]),
        NoFailures(window="adapter r2", classes=["sql-r2"]),
        *(CanaryShareBounded(window=bad, candidate=bad, share_max=0.0, seen=False) for bad in BAD if bad != "v2-slow"),
        CanaryShareBounded(window="v2-slow", candidate="v2-slow", share_max=0.65, seen=True),
        VersionsServed(window="after", versions=["v2"] if not drill.control else [p.version]),
    )
