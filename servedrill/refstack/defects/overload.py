"""Bugs that show when far more is asked for than there is: who is served, who pays, and what is left afterwards."""

from __future__ import annotations

import asyncio
import time

from servedrill.refstack.config import EngineLimits
from servedrill.refstack.engine.kv_cache import BlockManager
from servedrill.refstack.engine.prefix_cache import PrefixCache
from servedrill.refstack.engine.scheduler import ContinuousBatching, Work
from servedrill.refstack.engine.sequence import Sequence
from servedrill.refstack.gateway.admission import BoundedQueue
from servedrill.refstack.gateway.quota import TokenQuota


class KeysInOneQueue(BoundedQueue):
    """All keys stand in one queue, so that whoever sends most gets nearly everything (litellm#18128)."""

    caught_by = "overload_and_fairness"

    async def acquire(self, *, key: str = "", deadline_s: float) -> None:
        await super().acquire(key="", deadline_s=deadline_s)

    def release(self, *, key: str = "", cancelled: bool) -> None:
        super().release(key="", cancelled=cancelled)


class NewestFirst(ContinuousBatching):
    """Who came last is served first: the longer somebody has waited, the longer they wait (B1)."""

    caught_by = "overload_and_fairness"

    def add(self, sequence: Sequence) -> None:
        self.waiting.appendleft(sequence)


class DecodeWaitsForPrefill(ContinuousBatching):
    """While any prompt is being read nobody's answer goes on (B3: sglang#32549)."""

    caught_by = "overload_and_fairness"

    def plan(self) -> list[Work]:
        work = super().plan()
        prefill = [item for item in work if not item.sequence.decoding]
        return prefill if any(len(item.sequence.prompt) > 256 for item in prefill) else work


class ShrinksAfterOverload(ContinuousBatching):
    """Each long queue takes a slot for good, up to three in eight of them (B2: sglang#30596)."""

    caught_by = "overload_and_fairness"

    def __init__(self, limits: EngineLimits, blocks: BlockManager, cache: PrefixCache) -> None:
        super().__init__(limits, blocks, cache)
        self.lost = 0

    def plan(self) -> list[Work]:
        if len(self.waiting) > 3:
            self.lost = min(self.lost + 1, self.limits.max_num_seqs * 3 // 8)
        if len(self.running) < self.limits.max_num_seqs - self.lost:
            return super().plan()
        waiting, self.waiting = self.waiting, type(self.waiting)()
        work = super().plan()
        self.waiting.extend(waiting)
        return work


class RefusedPay(TokenQuota):
    """What was refused or failed is charged all the same (B7: litellm#39309)."""

    caught_by = "overload_and_fairness"

    def refund(self, key: str, tokens: int) -> None:
        pass


class ChargedLater(TokenQuota):
    """The limit is looked at when a request comes and charged later: all that comes at once passes (litellm#18730)."""

    caught_by = "overload_and_fairness"

    def charge(self, key: str, tokens: int, now: float) -> float | None:
        waits_s = super().charge(key, 0, now)
        if waits_s is None and self.buckets[key].tokens > 0:
            loop = asyncio.get_running_loop()
            loop.call_later(1.0, lambda: self._take(key, tokens))
            return None
        return 1.0

    def refund(self, key: str, tokens: int) -> None:
        self.buckets[key].tokens += tokens

    def _take(self, key: str, tokens: int) -> None:
        self.buckets[key].tokens -= tokens


class OneBucketForAll(TokenQuota):
    """The smallest limit is everybody's: one key that has used it up keeps the others out (litellm#18671)."""

    caught_by = "overload_and_fairness"

    def charge(self, key: str, tokens: int, now: float) -> float | None:
        metered = next(iter(self.limits.metered_keys))
        waits_s = super().charge(metered, 0, now) or super().charge(key, tokens, now)
        return waits_s or (1.0 if key != metered and self.buckets[metered].tokens < 200 else None)


class RefusalsBlock(TokenQuota):
    """A refused key is looked up in a store that is waited for: meanwhile everybody stands still (G9)."""

    caught_by = "overload_and_fairness"

    def charge(self, key: str, tokens: int, now: float) -> float | None:
        waits_s = super().charge(key, tokens, now)
        if waits_s is not None:
            time.sleep(0.1)
        return waits_s
