"""How many requests a gateway works on, for whom, and how many may wait how long; the rest is refused at once."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from servedrill.refstack.config import GatewayLimits

_ASKS_S = 5.0
"""Who asked within so many seconds counts as one who wants a share."""


class Overloaded(Exception):
    """Refused: the queue is full, or the request's time in it is up."""

    def __init__(self, message: str, *, code: str, retry_after_s: float) -> None:
        self.message, self.code, self.retry_after_s = message, code, retry_after_s
        super().__init__(message)


class BoundedQueue:
    """``max_in_flight`` slots and ``max_queue`` places, each with a deadline, shared fairly between API keys.

    Of one key first come first served; keys take turns. Whoever is alone may have everything. While several ask, the
    last quarter of the slots is for keys that hold less than their share, and a place in a full queue is taken from
    the key that has most of them, from its newest.
    """

    policy = "gateway_admission"

    def __init__(self, limits: GatewayLimits) -> None:
        self.limits = limits
        self.in_flight = 0
        self.queue: deque[asyncio.Future[None]] = deque()
        """Who waits, the longest waiting first."""
        self.holds: Counter[str] = Counter()
        """Slots of each key."""
        self.seen: dict[str, float] = {}
        """Key -> loop time, seconds, at which it last asked."""
        self._keys: dict[asyncio.Future[None], str] = {}
        self._turns: Counter[str] = Counter()

    @property
    def depth(self) -> int:
        """How many requests wait for a slot."""
        return len(self.queue)

    async def acquire(self, *, key: str = "", deadline_s: float) -> None:
        """Take a slot, or wait for one until ``deadline_s`` from now at most. Raises `Overloaded`."""
        now = asyncio.get_running_loop().time()
        self.seen[key] = now
        self.seen = {other: at for other, at in self.seen.items() if now - at < _ASKS_S}
        self.give_turns()
        if self.has_room(key):
            self.take(key)
            return
        if len(self.queue) >= self.limits.max_queue and not self.make_room(key):
            raise Overloaded("the gateway's queue is full", code="queue_full", retry_after_s=self.limits.retry_after_s)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.queue.append(turn)
        self._keys[turn] = key
        try:
            async with asyncio.timeout(min(deadline_s, self.limits.queue_timeout_s)):
                await turn
        except TimeoutError:
            if not turn.done() or turn.cancelled():  # else its turn came in the same moment
                raise Overloaded(
                    "no slot came free in time", code="queue_timeout", retry_after_s=self.limits.retry_after_s
                ) from None
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(key=key, cancelled=True)
            raise
        finally:
            del self._keys[turn]
            if turn in self.queue:
                self.queue.remove(turn)

    def release(self, *, key: str = "", cancelled: bool) -> None:
        """Give the slot back, whatever ended the request; the longest waiting of the key whose turn it is gets it."""
        self.in_flight -= 1
        self.holds[key] -= 1
        self.holds += Counter()  # keys that hold nothing are forgotten
        self.give_turns()

    # ---- whose turn it is

    def give_turns(self) -> None:
        """Every slot that is free to those who wait and may have it."""
        while (turn := self.next_turn()) is not None:
            self.queue.remove(turn)
            self.take(self._keys[turn])
            turn.set_result(None)

    def take(self, key: str) -> None:
        """One more slot for a key, which goes to the end of the line of keys."""
        self.in_flight += 1
        self.holds[key] += 1
        self._turns[key] = max(self._turns.values(), default=0) + 1

    def has_room(self, key: str) -> bool:
        """Whether a key may have one more slot."""
        slots, keys = self.limits.max_in_flight, len(self.seen)
        kept = slots // 4 if keys > 1 and self.holds[key] >= slots / keys else 0
        return self.in_flight < slots - kept

    def next_turn(self) -> asyncio.Future[None] | None:
        """Who waits and may go now, of the key whose last turn is longest ago."""
        first: dict[str, asyncio.Future[None]] = {}
        for turn in self.queue:
            if not turn.done():
                first.setdefault(self._keys[turn], turn)
        able = [key for key in first if self.has_room(key)]
        return first[min(able, key=self._turns.__getitem__)] if able else None

    def make_room(self, key: str) -> bool:
        """Take a place from whoever has most of them, unless that is the one who asks; whether there is one now."""
        waiting = Counter(self._keys[turn] for turn in self.queue if not turn.done())
        if not waiting:
            return False
        most, places = waiting.most_common(1)[0]
        if places <= waiting[key] + 1:
            return False
        newest = next(turn for turn in reversed(self.queue) if not turn.done() and self._keys[turn] == most)
        self.queue.remove(newest)
        newest.set_exception(
            Overloaded("others need the place", code="queue_full", retry_after_s=self.limits.retry_after_s)
        )
        return True
