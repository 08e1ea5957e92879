"""Bugs of engines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar

from servedrill.refstack.config import ModelVersion
from servedrill.refstack.engine.abort import AbortOnDisconnect
from servedrill.refstack.engine.admission import QueueLimit
from servedrill.refstack.engine.core_abort import ReleaseAtOnce
from servedrill.refstack.engine.drain import Drain
from servedrill.refstack.engine.frames import Frames
from servedrill.refstack.engine.gauges import RefreshAlways
from servedrill.refstack.engine.kv_cache import BlockManager
from servedrill.refstack.engine.prefix_cache import PrefixCache
from servedrill.refstack.engine.readiness import EngineState, Readiness
from servedrill.refstack.engine.sampler import Sampler
from servedrill.refstack.engine.scheduler import ContinuousBatching
from servedrill.refstack.engine.sequence import Sequence
from servedrill.refstack.engine.swap import DrainThenSwap
from servedrill.refstack.engine.validation import Refused, Validation
from servedrill.refstack.engine.weights import LoadFailed, Weights


class NoDrain(Drain):
    """SIGTERM ends the process with everything that is under way (R8: vllm#36666)."""

    caught_by = "node_restart"

    async def wait(self, open_requests: Callable[[], int]) -> None:
        return


class LastOneCut(Drain):
    """The drain is over when one request is left, as if the request to end were among those counted (R8)."""

    caught_by = "node_restart"

    async def wait(self, open_requests: Callable[[], int]) -> None:
        await super().wait(lambda: max(0, open_requests() - 1))


class DrainStalls(Drain):
    """The drain blocks the event loop, so that live streams stand still (R9: smg#1172)."""

    caught_by = "node_restart"

    async def wait(self, open_requests: Callable[[], int]) -> None:
        time.sleep(1.5)  # noqa: ASYNC251  # which is the defect
        await super().wait(open_requests)


class ReadyBeforeLoaded(Readiness):
    """Listening is taken for ready (R6: production-stack#619)."""

    caught_by = "node_restart"

    def ready(self, state: EngineState) -> bool:
        return not (state.draining or state.swapping or state.sleeping)


class ReadyBeforeWarm(Readiness):
    """Loaded is taken for ready, though the first steps are slow (R6)."""

    caught_by = "node_restart"

    def ready(self, state: EngineState) -> bool:
        return state.loaded and state.core_alive and not (state.draining or state.swapping or state.sleeping)


class HealthyWithoutCore(Readiness):
    """The API server answers 200 though its core is dead (R4: vllm#39863)."""

    caught_by = "node_restart"

    def ready(self, state: EngineState) -> bool:
        return state.loaded and state.warm and not (state.draining or state.swapping or state.sleeping)

    def exits_on_core_death(self) -> bool:
        return False


class UnlimitedQueue(QueueLimit):
    """The engine's queue never refuses (B1: vllm#18826)."""

    caught_by = "out_of_memory"

    def admits(self, *, open_sequences: int, new_sequences: int) -> bool:
        return True


class NoLengthCheck(Validation):
    """A prompt that is longer than the model takes is let in (O2)."""

    caught_by = "out_of_memory"

    def check(
        self,
        *,
        route: str,
        prompt_tokens: int,
        max_tokens: int | None,
        n: int,
        temperature: float | None,
        top_p: float,
        model: ModelVersion,
    ) -> int:
        return super().check(
            route=route,
            prompt_tokens=min(prompt_tokens, 64),
            max_tokens=max_tokens,
            n=n,
            temperature=temperature,
            top_p=top_p,
            model=model,
        )


class LimitAsAssertion(Validation):
    """A limit is an assertion past validation: it ends the engine instead of the request (O2: sglang#3910)."""

    caught_by = "out_of_memory"

    def check(self, **request: object) -> int:
        try:
            return super().check(**request)  # type: ignore[arg-type]
        except Refused:
            import os

            os._exit(1)


class NoOutputCap(Validation):
    """max_tokens is not checked on one of the routes (O4: ollama#18575)."""

    caught_by = "out_of_memory"

    def check(self, **request: object) -> int:
        asked = request["max_tokens"]
        if request["route"] == "completions" and isinstance(asked, int) and asked > self.limits.max_tokens_cap:
            return asked
        return super().check(**request)  # type: ignore[arg-type]


class NoAbort(AbortOnDisconnect):
    """The API server keeps the client's going to itself (C1: sglang#35255)."""

    caught_by = "cancel_storm"

    def on_disconnect(
        self, request_id: str, *, route: str, stream: bool, n: int, tokens_sent: int, abort: Callable[[str], None]
    ) -> None:
        pass


class NoAbortOnOneRoute(AbortOnDisconnect):
    """One endpoint's abort is broken (C10: lmdeploy#4776)."""

    caught_by = "cancel_storm"

    def on_disconnect(
        self, request_id: str, *, route: str, stream: bool, n: int, tokens_sent: int, abort: Callable[[str], None]
    ) -> None:
        if route == "chat":
            abort(request_id)


class LateAbort(AbortOnDisconnect):
    """The abort comes seconds after the client went (C1)."""

    caught_by = "cancel_storm"

    def on_disconnect(
        self, request_id: str, *, route: str, stream: bool, n: int, tokens_sent: int, abort: Callable[[str], None]
    ) -> None:
        asyncio.get_running_loop().call_later(2.5, abort, request_id)


class BlocksKeptOnCancel(ReleaseAtOnce):
    """A cancelled sequence is taken out, its KV blocks are not (C5: vllm-ascend#16662; C9: lmdeploy#1788)."""

    caught_by = "cancel_storm"

    def on_abort(self, scheduler: ContinuousBatching, request_ids: list[str]) -> None:
        for request_id in request_ids:
            for sequence in scheduler.of_request(request_id):
                if sequence in scheduler.running:
                    scheduler.running.remove(sequence)
                else:
                    scheduler.waiting.remove(sequence)
                self.aborted += 1


class OnlyFirstChoiceAborted(ReleaseAtOnce):
    """With n > 1 only the first choice is aborted (C6: vllm#14326)."""

    caught_by = "cancel_storm"

    def on_abort(self, scheduler: ContinuousBatching, request_ids: list[str]) -> None:
        for request_id in request_ids:
            for sequence in scheduler.of_request(request_id):
                if sequence.choice == 0:
                    scheduler.remove(sequence)


class QueuedNotAborted(ReleaseAtOnce):
    """A client that goes while its request is queued is served all the same (C11: llama.cpp#13262)."""

    caught_by = "cancel_storm"

    def on_abort(self, scheduler: ContinuousBatching, request_ids: list[str]) -> None:
        for request_id in request_ids:
            for sequence in scheduler.of_request(request_id):
                if sequence in scheduler.running:
                    scheduler.remove(sequence)


class WrongSequenceAborted(ReleaseAtOnce):
    """Cancelling one queued request takes another client's with it (C12: ik_llama.cpp#1929)."""

    caught_by = "cancel_storm"

    def on_abort(self, scheduler: ContinuousBatching, request_ids: list[str]) -> None:
        queued = [r for r in request_ids if any(s in scheduler.waiting for s in scheduler.of_request(r))]
        super().on_abort(scheduler, request_ids)
        if queued and scheduler.running:
            scheduler.remove(scheduler.running[-1])


class CleanupNeedsWork(ReleaseAtOnce):
    """Aborts are carried out only when new work is scheduled (C8: TensorRT-LLM#12313)."""

    caught_by = "cancel_storm"

    def __init__(self) -> None:
        super().__init__()
        self.late: list[str] = []
        self.seen = 0

    def on_abort(self, scheduler: ContinuousBatching, request_ids: list[str]) -> None:
        self.late += request_ids

    def tick(self, scheduler: ContinuousBatching) -> None:
        if len(scheduler.waiting) > 0 and self.late:
            late, self.late = self.late, []
            super().on_abort(scheduler, late)


class GaugesOnlyOnSteps(RefreshAlways):
    """After the last cancel the gauges stay where the last step left them (S1: vllm#29928)."""

    caught_by = "cancel_storm"

    def due(self, *, stepped: bool, changed: bool) -> bool:
        return stepped


class BlockLostByPreemption(ContinuousBatching):
    """A sequence that has to go leaves one KV block behind, each time (B2, C5)."""

    caught_by = "out_of_memory"

    def preempt(self, victim: Sequence) -> None:
        del victim.blocks[-1:]
        super().preempt(victim)


class CachedBlocksLost(BlockManager):
    """Emptying the prefix cache loses the blocks that were cached last, with each change of weights (M14)."""

    caught_by = "model_hot_swap"

    def forget_cached(self) -> None:
        for _ in range(min(16, len(self.cached))):
            self.cached.popitem()
        super().forget_cached()


class DoubleFree(BlockManager):
    """A block that is shared is freed with its first holder, and given to somebody else."""

    caught_by = "node_restart"

    def release(self, block: int, *, keep_cached: bool) -> None:
        self.references[block] = 1
        if block not in self.free and block not in self.cached:
            super().release(block, keep_cached=False)


class PrefixCacheKeptOverSwap(PrefixCache):
    """New weights answer from the old weights' cache (M2: lmdeploy#4917)."""

    caught_by = "model_hot_swap"

    def on_weights_changed(self) -> None:
        pass


class PrefixCacheKeptOverSleep(PrefixCache):
    """Block hashes survive the discard of what they stand for (M3: vllm#17103)."""

    caught_by = "model_hot_swap"

    def on_memory_discarded(self) -> None:
        pass


class AdapterKnownByName(PrefixCache):
    """A reloaded adapter of the same name finds its forerunner's cache (M1: vllm#42125)."""

    caught_by = "model_hot_swap"

    def salt(self, *, adapter: str, revision: str) -> str:
        return adapter


class SwapWithoutDrain(DrainThenSwap):
    """Weights change under running streams (M6: sglang#27886)."""

    caught_by = "model_hot_swap"

    async def quiesce(self, state: EngineState, open_requests: Callable[[], int]) -> bool:
        return True


class SleepFreesNothing(Weights):
    """Sleep says that it worked and keeps the weights (M5: vllm#11743, in part)."""

    caught_by = "model_hot_swap"

    def release(self) -> None:
        pass


class LoadsRatchet(Weights):
    """Each load keeps a part of what it replaced (M14: triton#4764)."""

    caught_by = "model_hot_swap"
    kept: ClassVar[list[bytearray]] = []

    def switch(self, model: ModelVersion) -> None:
        super().switch(model)
        self.kept.append(bytearray(b"\x5a") * (model.weights_bytes // 3))


class HalfLoaded(Weights):
    """A failed load leaves the new version in place and says that it worked (R7: MLServer#2056; M7: sglang#14062)."""

    caught_by = "model_hot_swap"

    def switch(self, model: ModelVersion) -> None:
        try:
            super().switch(model)
        except LoadFailed:
            self.model = model


class OtherDefaults(Sampler):
    """The sampling default is another than the model's own (M17: vllm#15281)."""

    caught_by = "model_hot_swap"

    def temperature(self, sequence: Sequence, model: ModelVersion) -> float:
        asked = sequence.request.temperature
        return 0.7 if asked is None else asked


class NoTerminalFrame(Frames):
    """Streams end without [DONE] (T10: lemonade#1340)."""

    caught_by = "node_restart"

    def done(self) -> bytes:
        return b""


class AnswersAllAtOnce(Frames):
    """A hop collects a stream's events: all are right and in order, and come with the last one (litellm#26102)."""

    caught_by = "timeout_spike"

    def __init__(self, *, request_id: str, route: str, model: str, version: str) -> None:
        super().__init__(request_id=request_id, route=route, model=model, version=version)
        self._collected: dict[int, bytes] = {}

    def preamble(self, choice: int) -> bytes:
        self._collected[choice] = super().preamble(choice)
        return b""

    def delta(self, choice: int, text: str, finish: str | None) -> bytes:
        self._collected[choice] += super().delta(choice, text, finish)
        return self._collected.pop(choice) if finish else b""
