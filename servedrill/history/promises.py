"""What a stack promises: the limits that checkers hold it to where a drill names none.

A drill's history carries them as its stack stated them; what a stack file leaves out has the default below. Checkers
read them through `as_made`: typed, so that the type checker finds a promise that does not exist, and without defaults,
so that one that an old history lacks has no value.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Span = Annotated[float, msgspec.Meta(gt=0)]
"""Seconds."""
NotBelow0 = Annotated[float, msgspec.Meta(ge=0)]


class Promises(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stack says of itself, and is held to; seconds unless a name says otherwise."""

    model: str
    version: str = ""
    engine_model: str = ""
    """What engines call the model when they are asked directly; empty: ``version``, as on the embedded stack."""
    oracle: Literal["formula", "recorded", "frames"] = "formula"
    """How right answers are known. ``formula``: by the embedded model's formula. ``recorded``: from the stack itself,
    while nothing is broken. ``frames``: not at all; only the frame around the words is checked. That is for stacks that
    do not always answer the same greedy request in the same words."""
    pace: Annotated[float, msgspec.Meta(ge=0.01, le=1000)] = 1.0
    """How much slower drills go about it: traffic comes at 1/pace of its rate, undisturbed phases last pace times as
    long. So every count is the same."""
    resumes_streams: bool = True
    tries_max: Count = 3
    retry_budget_ratio: NotBelow0 = 0.2
    retry_budget_min_per_s: NotBelow0 = 1.0
    retry_budget_burst: NotBelow0 = 10.0
    """For each gateway."""
    first_token_timeout_s: Span = 1.5
    idle_timeout_s: Span = 1.0
    detect_s: Span = 1.5
    """From a replica's failure to no more new traffic on it."""
    refusals_seen_s: Span = 0.6
    """From a replica's first refusals to no more new traffic on it."""
    drain_s: Span = 0.5
    """From a replica's being told to end to no more new traffic on it."""
    engine_keep_alive_s: Span = 12.0
    dns_ttl_s: NotBelow0 = 1.0
    dns_detect_s: Span = 1.3
    """Check interval, failures needed and check timeout together."""
    down_alert: str = "ReplicaDown"
    oom_alert: str = "EngineOutOfMemory"
    alert_within_s: Span = 2.5
    restart_within_s: Span = 5.0
    rollout_within_s: Span = 20.0
    settle_within_s: Span = 4.0
    """From the heal to every gateway sending to every engine again."""
    ready_first_token_s: Span = 0.25
    """First tokens of an engine that has just said that it is ready."""
    failover_ttft_s: Span = 1.4
    """First tokens while engines come and go."""
    overload_ttft_s: Span = 6.0
    """First tokens of what is admitted while far more comes than can be served: 1.5 s in a gateway's queue, and three
    tries that each wait 1.5 s for a first token."""
    recovers_within_s: Span = 2.0
    """From the end of a fault to goodput as before."""
    capacity_ratio_min: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.95
    """Speed of a full load after an incident to that before; less where others use the same cores."""
    health_within_s: Span = 1.0
    """From the death of an engine's core to the end of its good health."""
    slots: Count = 48
    """Sequences that all engines together run at once."""
    engine_admits: Count = 40
    """Sequences that one engine lets run and wait."""
    gateway_admits: Count = 64
    """Requests that one gateway works on and lets wait."""
    max_model_len: Count = 2048
    max_tokens_cap: Count = 1024
    max_n: Count = 8
    default_max_tokens: Count = 128
    default_temperature: NotBelow0 = 1.0
    candidates: list[str] = []

    @property
    def direct_model(self) -> str:
        """The model's name at an engine."""
        return self.engine_model or self.version


def as_made(promises: dict[str, Any]) -> Promises:
    """The promises that a history carries; one that was not made raises `LookupError` when it is asked for."""
    return cast("Promises", _Made(promises))


def counts_known(promises: dict[str, Any]) -> bool:
    """Whether the server's counts of tokens are held against the words of each answer, which the formula alone
    allows. Elsewhere nobody but the server knows how many tokens a piece of content holds."""
    return bool(promises.get("oracle", "formula") == "formula")


class _Made:
    def __init__(self, promises: dict[str, Any]) -> None:
        self._promises = promises

    def __getattr__(self, name: str) -> Any:
        if name not in self._promises:
            raise LookupError(f"the stack promised nothing called {name!r}")
        return self._promises[name]
