"""What a stack promises: the limits that checkers hold it to where a drill names none.

A drill's history carries them as its stack stated them; what a stack file leaves out has the default below. Checkers
read them through `as_made`: typed, so that the type checker finds a promise that does not exist, and without defaults,
so that one that an old history lacks has no value.

Of somebody else's service nobody knows more than its file says. What that leaves out is `assumed` then: traffic is made
to fit the default, nobody is held to it, and it is not in the history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, cast

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Span = Annotated[float, msgspec.Meta(gt=0, le=1e7)]
"""Seconds."""
NotBelow0 = Annotated[float, msgspec.Meta(ge=0, le=1e7)]

TooMuch: TypeAlias = Literal["prompt", "output", "endless", "choices", "overload"]


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
    ends_within_s: Span = 30.0
    """From a replica's being told to end to its end, whatever is open."""
    gateway_grace_s: Span = 10.0
    """For so long a gateway that is told to end goes on with what is open."""
    engine_keep_alive_s: Span = 12.0
    dns_ttl_s: NotBelow0 = 1.0
    dns_detect_s: Span = 1.3
    """Check interval, failures needed and check timeout together."""
    down_alert: str = "ReplicaDown"
    oom_alert: str = "EngineOutOfMemory"
    progress_alert: str = "NoProgress"
    """Fires when users wait and no token comes from anywhere."""
    progress_alert_within_s: Span = 3.0
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
    frozen_within_s: Span = 3.0
    """From the freeze of an engine's core to the end of its good health."""
    slots: Count = 48
    """Sequences that all engines together run at once."""
    engine_admits: Count = 40
    """Sequences that one engine lets run and wait."""
    gateway_admits: Count = 64
    """Requests that one gateway works on and lets wait."""
    tokens_per_word: Span = 1.0
    """Of the prompts of drills, whose words are made up."""
    max_model_len: Count = 2048
    """Tokens, of prompt and answer together."""
    max_tokens_cap: Count = 1024
    max_n: Count = 8
    default_max_tokens: Count = 128
    default_temperature: NotBelow0 = 1.0
    candidates: list[str] = []
    refuses: list[TooMuch] = msgspec.field(
        default_factory=lambda: ["prompt", "output", "endless", "choices", "overload"]
    )
    """What it says no to when it is too much: a prompt, an answer, one that names no limit, choices, requests at once.
    A stack that takes whatever comes is not asked for more than it says."""
    assumed: list[str] = []
    """Names of those that nobody stated. Not for files: it is found out by reading one."""

    def words_within(self, tokens: float) -> int:
        """Words that are surely no more than so many tokens: exactly as many where each is one."""
        return max(1, int(tokens / self.tokens_per_word * (1.0 if self.tokens_per_word == 1 else 0.9)))

    def words_beyond(self, tokens: float) -> int:
        """The fewest words that are surely more tokens than that."""
        return 1 + int(tokens / self.tokens_per_word * (1.0 if self.tokens_per_word == 1 else 1.1))

    @property
    def direct_model(self) -> str:
        """The model's name at an engine."""
        return self.engine_model or self.version


class Refused(NamedTuple):
    """What is refused when it is too much."""

    part: str
    promises: tuple[str, ...]
    """They say how much that is."""


REFUSED: dict[TooMuch, Refused] = {
    "prompt": Refused("A prompt that is too long is refused.", ("max_model_len",)),
    "output": Refused("An answer that would be too long is refused.", ("max_tokens_cap",)),
    "endless": Refused("An answer that names no limit ends.", ("default_max_tokens", "max_tokens_cap")),
    "choices": Refused("Too many choices are refused.", ("max_n",)),
    "overload": Refused("More requests at once than there is room for are refused.", ("overload_ttft_s",)),
}
MEASURED = frozenset({
    "capacity_ratio_min", "default_max_tokens", "engine_admits", "first_token_timeout_s",
    "gateway_admits", "idle_timeout_s", "max_model_len", "max_n", "max_tokens_cap", "overload_ttft_s",
    "slots",
})  # fmt: skip
"""What `servedrill doctor --measure` can find out."""
_NO_LIMITS = frozenset({
    "model", "version", "engine_model", "oracle", "pace", "tokens_per_word", "default_temperature", "candidates",
    "refuses", "assumed",
})  # fmt: skip
"""What a stack is, or how drills go about it: nobody is held to it."""
LIMITS = tuple(name for name in Promises.__struct_fields__ if name not in _NO_LIMITS)


class NotPromised(LookupError):
    """A promise that the stack has not made."""

    def __init__(self, *names: str) -> None:
        self.names = names
        super().__init__(unsaid(names))


def unsaid(names: Iterable[str]) -> str:
    """That nobody promised them, and what to do about it."""
    names = sorted(names)
    others = [name for name in names if name not in MEASURED]
    ways = ["`servedrill doctor --measure` finds out"] if len(others) < len(names) else []
    ways += [f"say {', '.join(others)} in [promises] of its stack file"] if others else []
    return f"the stack promised nothing called {', '.join(names)}: {'; '.join(ways)}"


def with_assumed(promises: Promises, stated: Collection[str]) -> Promises:
    """The promises of a stack of which only these are stated; its answers are looked at for their frame alone where
    it is not said how right ones are known."""
    oracle = promises.oracle if "oracle" in stated else "frames"
    return msgspec.structs.replace(promises, oracle=oracle, assumed=sorted(set(LIMITS) - set(stated)))


def made(promises: Promises) -> dict[str, Any]:
    """What a history is given: the promises that somebody made."""
    left_out = {*promises.assumed, "assumed"}
    return {name: value for name, value in msgspec.to_builtins(promises).items() if name not in left_out}


def as_made(promises: dict[str, Any]) -> Promises:
    """The promises that a history carries; one that was not made raises `NotPromised` when it is asked for."""
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
            raise NotPromised(name)
        return self._promises[name]
