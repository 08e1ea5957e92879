"""Bugs of gateways."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from servedrill.refstack.config import GatewayLimits
from servedrill.refstack.gateway.admission import BoundedQueue, Overloaded
from servedrill.refstack.gateway.aliases import Aliases
from servedrill.refstack.gateway.balancer import LeastInFlight
from servedrill.refstack.gateway.breaker import CLOSED, OPEN, CircuitBreaker
from servedrill.refstack.gateway.cancel import CancelUpstream
from servedrill.refstack.gateway.error_body import OpenAIErrors
from servedrill.refstack.gateway.health import ActiveHealth
from servedrill.refstack.gateway.in_flight import InFlight
from servedrill.refstack.gateway.keep_alive import ShorterThanPeer
from servedrill.refstack.gateway.outcome import Outcome
from servedrill.refstack.gateway.resume import TokenExactResume
from servedrill.refstack.gateway.retry import FullJitterRetry, RetryBudget
from servedrill.refstack.gateway.timeouts import Timeouts


class RetriesWithoutBackoff(FullJitterRetry):
    """The next try follows at once, Retry-After or not (T2: litellm#34399; T17)."""

    caught_by = "timeout_spike"

    def delay_s(self, tries: Sequence[Outcome]) -> float | None:
        return None if super().delay_s(tries) is None else 0.0


class FixedBackoff(FullJitterRetry):
    """Every retry waits the same time, so that all come together (T17: retries without jitter)."""

    caught_by = "timeout_spike"

    def delay_s(self, tries: Sequence[Outcome]) -> float | None:
        delay_s = super().delay_s(tries)
        return None if delay_s is None else max(delay_s, 0.1) if tries[-1].retry_after_s else 0.1


class TwoFixedBackoffs(FullJitterRetry):
    """The first retry waits one fixed time, all others another (T17: Portkey's two steps, 10 ms and 1 s)."""

    caught_by = "timeout_spike"

    def delay_s(self, tries: Sequence[Outcome]) -> float | None:
        delay_s = super().delay_s(tries)
        return None if delay_s is None else tries[-1].retry_after_s or (0.01 if len(tries) == 1 else 0.4)


class RetriesWhereItFailed(LeastInFlight):
    """The next try goes to the engine that has just failed (T2: HAProxy's ``retries`` without ``redispatch``)."""

    caught_by = "timeout_spike"

    def choose(self, candidates: Sequence[str], in_flight: dict[str, int], tried: Sequence[str]) -> str:
        again = [name for name in tried[-1:] if name in candidates]
        return again[0] if again else super().choose(candidates, in_flight, tried)


class FirstRetryAfterOnly(FullJitterRetry):
    """The backoff reads the first failure and ignores a later Retry-After (T1: litellm#20722)."""

    caught_by = "timeout_spike"

    def delay_s(self, tries: Sequence[Outcome]) -> float | None:
        if super().delay_s(tries) is None:
            return None
        return tries[0].retry_after_s or self.chance.uniform(0, self.limits.backoff_base_s * 2 ** len(tries))


class RetriesWithoutEnd(FullJitterRetry):
    """A fallback begins the whole cycle of retries again (T3: litellm#19985)."""

    caught_by = "timeout_spike"

    def delay_s(self, tries: Sequence[Outcome]) -> float | None:
        return super().delay_s(tries[-1:])


class NoRetryBudget(RetryBudget):
    """Every retry is allowed, so that an outage multiplies the traffic (T4: litellm#2620)."""

    caught_by = "timeout_spike"

    def withdraw(self, now: float) -> bool:
        return True


class RetriesBadRequests(FullJitterRetry):
    """A 4xx is tried again as if another engine could make it right (T5: litellm#35853)."""

    caught_by = "timeout_spike"

    def retryable(self, outcome: Outcome) -> bool:
        return not outcome.ok and outcome.kind != "cancelled"


class NoFailover(FullJitterRetry):
    """One engine's failure reaches the user though others are well (T6: production-stack#382)."""

    caught_by = "timeout_spike"

    def delay_s(self, tries: Sequence[Outcome]) -> float | None:
        return None


class NoUpstreamTimeout(Timeouts):
    """A silent engine is waited for as long as the client does (T14: production-stack#749)."""

    caught_by = "timeout_spike"

    def first_token_s(self) -> float | None:
        return None

    def idle_s(self) -> float | None:
        return None

    def whole_s(self, max_tokens: int) -> float | None:
        return None


class NoBreaker(CircuitBreaker):
    """Failures are never held against an upstream (G3: litellm#27362)."""

    caught_by = "timeout_spike"

    def record(self, outcome: Outcome, now: float) -> None:
        pass


class BreakerOpenedByBadRequests(CircuitBreaker):
    """A user's 400s count as the engine's failures (T16: sglang#25811)."""

    caught_by = "timeout_spike"

    def record(self, outcome: Outcome, now: float) -> None:
        if outcome.callers_fault:
            outcome = Outcome(upstream=outcome.upstream, kind="reset", ended=outcome.ended)
        super().record(outcome, now)


class PatienceDoubles(CircuitBreaker):
    """Each time that a breaker opens it stays open twice as long as before, and nothing takes that back (G1)."""

    caught_by = "timeout_spike"

    def __init__(self, limits: GatewayLimits) -> None:
        super().__init__(limits)
        self.openings: Counter[str] = Counter()

    def allows(self, upstream: str, now: float) -> bool:
        circuit = self.circuit(upstream)
        patience_s = self.limits.breaker_open_s * 2 ** max(0, self.openings[upstream] - 1)
        return (circuit.state != OPEN or now - circuit.opened >= patience_s) and super().allows(upstream, now)

    def record(self, outcome: Outcome, now: float) -> None:
        was = self.circuit(outcome.upstream).state
        super().record(outcome, now)
        if was != OPEN and self.circuit(outcome.upstream).state == OPEN:
            self.openings[outcome.upstream] += 1


class BusyCountsAsBroken(CircuitBreaker):
    """A request that waits too long at a busy engine has it ejected, and so on until none is left (B6: TGI#3241)."""

    caught_by = "out_of_memory"

    def record(self, outcome: Outcome, now: float) -> None:
        super().record(
            dataclasses.replace(outcome, kind="first_token_timeout") if outcome.kind == "busy" else outcome, now
        )


class BreakerNeverCloses(CircuitBreaker):
    """Once open, it stays open until the gateway is restarted (G1: smg#2468; G2: litellm#30192)."""

    caught_by = "timeout_spike"

    def allows(self, upstream: str, now: float) -> bool:
        return self.circuit(upstream).state == CLOSED


class ProbeNeverGivenBack(CircuitBreaker):
    """A probe whose client hung up, or whose request was wrong, never ends: nobody is let through (G1: smg#2468)."""

    caught_by = "timeout_spike"

    def record(self, outcome: Outcome, now: float) -> None:
        if not outcome.neutral:
            super().record(outcome, now)


class FailedIsTerminal(ActiveHealth):
    """An engine that failed its checks never comes back (G1: smg#2468)."""

    caught_by = "node_restart"

    def __init__(self, limits: Any) -> None:
        super().__init__(limits)
        self.seen_healthy: set[str] = set()

    def observe(self, upstream: str, *, status: int | None, models: frozenset[str]) -> None:
        was = self.record(upstream).healthy
        super().observe(upstream, status=status, models=models)
        if upstream in self.seen_healthy and not was:
            self.record(upstream).healthy = False
        elif self.record(upstream).healthy:
            self.seen_healthy.add(upstream)


class UnboundedQueue(BoundedQueue):
    """Nobody is ever refused, everybody waits (B1: vllm#18826)."""

    caught_by = "out_of_memory"

    def make_room(self, key: str) -> bool:
        return True

    async def acquire(self, *, key: str = "", deadline_s: float) -> None:
        self.limits = msgspec.structs.replace(self.limits, queue_timeout_s=deadline_s)
        await super().acquire(key=key, deadline_s=deadline_s)


class NoConcurrencyLimit(BoundedQueue):
    """The concurrency limit is not applied at all: everything goes to the engines at once (O6: litellm#27900)."""

    caught_by = "out_of_memory"

    async def acquire(self, *, key: str = "", deadline_s: float) -> None:
        self.take(key)


class PlainErrors(OpenAIErrors):
    """The error body has no `error` object (T12: vllm#12886)."""

    caught_by = "timeout_spike"

    def body(self, status: int, message: str, *, code: str, request_id: str) -> dict[str, Any]:
        return {"object": "error", "message": message, "code": status}


class NoRetryAfter(OpenAIErrors):
    """Refusals do not say when to come back."""

    caught_by = "timeout_spike"

    def retry_after_s(self, status: int, seconds: float) -> int | None:
        return None


class NoAbortUpstream(CancelUpstream):
    """The engine is not told that the client is gone (C3: production-stack#634)."""

    caught_by = "cancel_storm"

    def on_disconnect(self, work: asyncio.Task[Any], *, stream: bool, route: str, n: int, tokens: int) -> None:
        pass


class NoAbortUnlessStreamed(CancelUpstream):
    """Only cancels of streams are passed on (C3: production-stack#1040)."""

    caught_by = "cancel_storm"

    def on_disconnect(self, work: asyncio.Task[Any], *, stream: bool, route: str, n: int, tokens: int) -> None:
        if stream:
            work.cancel()


class CancelSkipsDecrement(InFlight):
    """A cancel leaves the in-flight gauge where it was (C13: litellm#27955)."""

    caught_by = "cancel_storm"

    def request_ended(self, *, cancelled: bool) -> None:
        if not cancelled:
            self.total -= 1


class QueueTimeoutKeepsSlot(BoundedQueue):
    """The turn of a request that waited too long is given to it all the same, and never given back (B4, C13)."""

    caught_by = "cancel_storm"

    async def acquire(self, *, key: str = "", deadline_s: float) -> None:
        try:
            await super().acquire(key=key, deadline_s=deadline_s)
        except Overloaded as refused:
            self.in_flight += refused.code == "queue_timeout"
            raise


class CancelKeepsSlot(BoundedQueue):
    """A cancel never gives its slot back, until nobody is admitted any more (C13: litellm#30020)."""

    caught_by = "cancel_storm"

    def release(self, *, key: str = "", cancelled: bool) -> None:
        if not cancelled:
            super().release(key=key, cancelled=False)


class ResumeFromTheStart(TokenExactResume):
    """A broken stream starts again at token 0 (T7: hive#6541)."""

    caught_by = "node_restart"

    def continuation(self, body: dict[str, Any], *, route: str, text: str, tokens: int) -> dict[str, Any] | None:
        return dict(body)


class SecondPreamble(TokenExactResume):
    """A resumed stream has a second preamble (T8: ai-retry#51)."""

    caught_by = "node_restart"

    def forwards(self, *, role: str | None, has_content: bool, resumed: bool) -> bool:
        return True


class NoResume(TokenExactResume):
    """Streams that break are given up, though the stack promises to resume them (T9)."""

    caught_by = "node_restart"

    def max_resumes(self) -> int:
        return 0


class PoolOutlivesPeer(ShorterThanPeer):
    """Idle connections are kept for longer than the engine keeps them (G5: llm-d#1564, kserve#5446)."""

    caught_by = "gateway_failover"

    def pool_s(self) -> float:
        return self.stack.engine_keep_alive_s * 4


class IgnoresCanaryWeight(Aliases):
    """A canary gets nearly all of the traffic (M19: misrouted, unnoticed)."""

    caught_by = "model_hot_swap"

    def set(self, weights: dict[str, dict[str, float]]) -> None:
        super().set(weights)
        for versions in self.weights.values():
            if len(versions) > 1:
                newest = list(versions)[-1]
                versions.update({version: 0.05 for version in versions if version != newest})
