"""Memory: limits that refuse or preempt, and a real kill by the kernel."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill.checkers.answered import (
    AdmissionBounded,
    BrokenStreamsSaidSo,
    NoFailureBeforeFirstToken,
    NoFailures,
    OverloadRefused,
    RefusedWith,
)
from servedrill.checkers.integrity import OutputBounded
from servedrill.checkers.recovery import GoodputRecovers, ShareRestored, SloMet
from servedrill.checkers.replicas import (
    AlertFired,
    HealthTellsTheTruth,
    KvPoolFilled,
    MemoryBackBeforeRestart,
    ProcessesUnchanged,
)
from servedrill.drill.context import Drill
from servedrill.drill.traffic import SAMPLED, burst, chat, code
from servedrill.faults.memory import MemoryBallast
from servedrill.load.lengths import Uniform


@pytest.mark.memory_limit
@pytest.mark.needs("Signallable", "MemoryLimited", "Proxied")
@pytest.mark.catches("O1", "O2", "O3", "O4", "O5", "O8", "O11", "R12", "B1", "T11", "T12")
def test_out_of_memory(drill: Drill) -> None:
    """Too much is refused or preempted and hurts nobody else; when the kernel does kill an engine for its memory, traffic goes
    elsewhere, somebody is told, and the memory is back before the engine starts again."""
    stack, p, model = drill.stack, drill.promises, drill.model
    victim, *_ = engines = drill.names("engine")
    drill.load(chat(rate=14, model=model), code(rate=4, model=model))
    drill.baseline(1.6)
    few: dict[str, Any] = {"over_s": 0.5, "model": model, "stream": 0.5}
    endless: dict[str, Any] = {
        "n": [1, 2],
        "output_tokens": None,
        "params": {"ignore_eos": True, **SAMPLED},
        **few,
    }
    at_limit: dict[str, Any] = {"prefix_words": 0, "output_tokens": 8, **few}
    room = p.max_model_len - 8 - 2  # a chat adds one token before and one after its message
    with drill.window("caps"):
        drill.load(
            burst(6, name="longest", prompt_words=room, **at_limit),
            burst(10, name="long-prompt", prompt_words=room + 1, **at_limit),
            burst(10, name="long-output", output_tokens=p.max_tokens_cap + 1, **few),
            burst(10, name="long-output-code", route="completions", output_tokens=p.max_tokens_cap + 1, **few),
            burst(4, name="widest", n=p.max_n, output_tokens=8, params=SAMPLED, **few),
            burst(10, name="many-choices", n=p.max_n + 1, params=SAMPLED, **few),
            burst(6, name="unlimited-chat", **endless),
            burst(6, name="unlimited-code", route="completions", **endless),
        ).wait(within_s=15)
    with drill.window("full"):
        heavy: dict[str, Any] = {"prompt_words": Uniform(480, 600), "output_tokens": 60, "prefix_words": 0}
        drill.load(burst(16, name="heavy", over_s=0.1, model=p.direct_model, **heavy), to=victim).wait(within_s=15)
    with drill.window("flood"):
        drill.load(burst(90, name="engine-flood", over_s=0.1, model=p.direct_model, stream=0.5), to=victim).wait(
            within_s=15
        )
        drill.load(burst(280, name="flood", over_s=0.3, model=model, output_tokens=20)).wait(within_s=15)
    drill.settle()
    with drill.window("outage"):
        with drill.broken(MemoryBallast(stack, victim), window="killed"):
            drill.hold(1.0)
    drill.recover(2.8)

    for window in ("caps", "full", "flood"):
        drill.expect(ProcessesUnchanged(window=window))
    drill.expect(
        NoFailures(window="baseline"),
        SloMet(window="baseline", classes=["chat", "code"], requests_min=3),
        RefusedWith(
            window="caps", classes=["long-prompt", "long-output", "long-output-code", "many-choices"], statuses=[400]
        ),
        OutputBounded(window="caps", classes=["unlimited-chat", "unlimited-code"], cap=p.max_tokens_cap),
        NoFailures(window="caps", classes=["chat", "code", "longest", "widest", "unlimited-chat", "unlimited-code"]),
        KvPoolFilled(window="full", replica=victim),
        NoFailures(window="full", classes=["heavy", "chat"]),
        AdmissionBounded(window="flood", engine_max=p.engine_admits, gateway_max=p.gateway_admits),
        OverloadRefused(window="flood", classes=["engine-flood"], ttft_s_max=3.0),
        OverloadRefused(window="flood", classes=["flood"], ttft_s_max=3.0, refused_min=20),
        NoFailureBeforeFirstToken(window="outage"),
        BrokenStreamsSaidSo(window="outage", resumes=p.resumes_streams),
        HealthTellsTheTruth(replica=victim, fault="memory_ballast", within_s=p.health_within_s),
        MemoryBackBeforeRestart(replica=victim, window="killed"),
        GoodputRecovers(after="killed", within_s=p.recovers_within_s, bucket_s=0.5 * p.pace),
        ShareRestored(window="recover", replicas=engines, tries_min=5, last_s=2.5 * p.pace),
        SloMet(window="recover", classes=["chat"]),
    )
    drill.expect(
        AlertFired(
            alert=p.oom_alert,
            replica=victim,
            window="killed",
            within_s=p.alert_within_s,
            resolves_within_s=p.restart_within_s,
        ),
        needs="Alerting",
    )
