"""How many requests a gateway works on, how many wait, and what a key may ask for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servedrill.refstack.config import GatewayLimits
from servedrill.refstack.gateway.admission import BoundedQueue, Overloaded
from servedrill.refstack.gateway.quota import TokenQuota


class Office:
    """Users of a bounded queue, each a task that holds its slot until told."""

    def __init__(self, **limits: Any) -> None:
        self.queue = BoundedQueue(
            GatewayLimits(**{"max_in_flight": 2, "max_queue": 3, "queue_timeout_s": 30.0, **limits})
        )
        self.holds: list[asyncio.Event] = []
        self.users: list[asyncio.Task[str]] = []
        self.order: list[int] = []

    def come(self, *, key: str = "", deadline_s: float = 30.0) -> asyncio.Task[str]:
        number, hold = len(self.users), asyncio.Event()

        async def use() -> str:
            try:
                await self.queue.acquire(key=key, deadline_s=deadline_s)
            except Overloaded as refused:
                return refused.code
            self.order.append(number)
            cancelled = False
            try:
                await hold.wait()
            except asyncio.CancelledError:
                cancelled = True
                raise
            finally:
                self.queue.release(key=key, cancelled=cancelled)
            return "served"

        self.holds.append(hold)
        self.users.append(asyncio.get_running_loop().create_task(use()))
        return self.users[-1]

    async def close(self) -> None:
        """Everybody may leave; nothing is left of them."""
        for hold in self.holds:
            hold.set()
        await asyncio.gather(*self.users, return_exceptions=True)
        assert (self.queue.in_flight, self.queue.depth) == (0, 0)

    @staticmethod
    async def settle() -> None:
        """Let everything run that can."""
        for _ in range(8):
            await asyncio.sleep(0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["come", "leave", "cancel"]), st.integers(0, 30)), max_size=60))
def test_no_more_than_the_limits_whoever_comes_and_goes(moves: list[tuple[str, int]]) -> None:
    """Whoever comes, leaves or hangs up, slots and queue keep their limits and are empty in the end."""

    async def play() -> None:
        office = Office()
        for move, number in moves:
            if move == "come":
                office.come()
            elif office.users and move == "leave":
                office.holds[number % len(office.users)].set()
            elif office.users:
                office.users[number % len(office.users)].cancel()
            await office.settle()
            assert office.queue.in_flight <= 2
            assert office.queue.depth <= 3
            assert office.queue.in_flight == 2 or office.queue.depth == 0
        await office.close()
        assert office.order == sorted(office.order)

    asyncio.run(play())


def test_a_full_queue_refuses_at_once() -> None:
    """A full queue refuses without waiting, and says after how many seconds to come again."""

    async def play() -> None:
        office = Office()
        for _ in range(5):
            office.come()
        await office.settle()
        assert (office.queue.in_flight, office.queue.depth) == (2, 3)
        with pytest.raises(Overloaded, match="queue is full") as refused:
            await office.queue.acquire(deadline_s=30)
        assert (refused.value.code, refused.value.retry_after_s) == ("queue_full", 1.0)
        await office.close()

    asyncio.run(play())


@pytest.mark.parametrize(
    "limits", [{"queue_timeout_s": 0.02}, {"queue_timeout_s": 30.0}], ids=["the-queue's", "the-request's"]
)
def test_nobody_waits_for_longer_than_allowed(limits: dict[str, float]) -> None:
    """The wait ends at the queue's limit or the request's deadline, and whoever gave up takes no place."""

    async def play() -> list[str]:
        office = Office(max_in_flight=1, **limits)
        office.come()
        late = office.come(deadline_s=30.0 if limits["queue_timeout_s"] < 1 else 0.02)
        code = await asyncio.wait_for(late, 5)
        assert office.queue.depth == 0
        office.holds[0].set()
        office.come()
        await office.settle()
        office.holds[2].set()
        return [code, await office.users[0], await office.users[2]]

    assert asyncio.run(play()) == ["queue_timeout", "served", "served"]


def test_a_turn_that_comes_with_a_hang_up_is_given_up() -> None:
    """Where turn and hang-up come in one moment, the slot goes back and no work is done."""

    async def hang_up(office: Office, users: list[asyncio.Task[str]]) -> tuple[bool, int, int]:
        for user in users:
            user.cancel()
        await office.settle()
        gone = all(user.cancelled() for user in users)
        for hold in office.holds:
            hold.set()
        await asyncio.gather(*office.users, return_exceptions=True)
        return gone, office.queue.in_flight, office.queue.depth

    async def everybody_at_once() -> tuple[bool, int, int]:
        office = Office()
        for _ in range(5):
            office.come()
        await office.settle()
        return await hang_up(office, office.users)

    async def right_after_the_turn() -> tuple[bool, int, int]:
        office = Office(max_in_flight=1)
        _, second = office.come(), office.come()
        await office.settle()
        office.holds[0].set()
        while office.queue.depth:
            await asyncio.sleep(0)
        return await hang_up(office, [second])

    assert asyncio.run(everybody_at_once()) == (True, 0, 0)
    assert asyncio.run(right_after_the_turn()) == (True, 0, 0)


# ---- shares


def test_keys_take_turns_and_a_full_queue_has_room_for_who_has_no_place() -> None:
    """Who floods loses its newest place to another key, whose turn is next; of one key who came first goes first."""

    async def play() -> tuple[list[int], list[str]]:
        office = Office()
        for _ in range(5):
            office.come(key="greedy")
        await office.settle()
        office.come(key="steady")
        await office.settle()
        refused = [user.result() for user in office.users if user.done()]
        for number in range(6):
            office.holds[number].set()
            await office.settle()
        await office.close()
        return office.order, refused

    assert asyncio.run(play()) == ([0, 1, 5, 2, 3], ["queue_full"])


def test_a_place_is_taken_only_from_who_has_more_of_them() -> None:
    """Two keys with as many places each leave each other theirs."""

    async def play() -> list[str]:
        office = Office(max_in_flight=1, max_queue=2)
        for key in ("a", "a", "b"):
            office.come(key=key)
        await office.settle()
        late = [office.come(key=key) for key in ("a", "b", "c")]
        await office.settle()
        codes = [user.result() for user in late if user.done()]
        await office.close()
        return codes

    assert asyncio.run(play()) == ["queue_full"] * 3


def test_the_last_slots_are_for_who_holds_least_while_several_ask() -> None:
    """Alone a key has everything; beside another it leaves the last quarter of the slots."""

    async def play() -> tuple[int, int, int]:
        office = Office(max_in_flight=8, max_queue=8)
        for _ in range(9):
            office.come(key="greedy")
        await office.settle()
        alone = office.queue.holds["greedy"]
        office.come(key="steady")
        for number in range(4):
            office.holds[number].set()
        for _ in range(4):
            office.come(key="greedy")
        await office.settle()
        beside = office.queue.holds["greedy"], office.queue.holds["steady"]
        await office.close()
        return alone, *beside

    assert asyncio.run(play()) == (8, 5, 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "leave", "cancel"]), st.integers(0, 30)), max_size=60))
def test_no_slot_is_lost_between_keys(moves: list[tuple[str, int]]) -> None:
    """Whoever comes, leaves or hangs up, each key's slots add up to those in use, and all are free in the end."""

    async def play() -> None:
        office = Office(max_in_flight=4)
        for move, number in moves:
            if move in "abc":
                office.come(key=move)
            elif office.users and move == "leave":
                office.holds[number % len(office.users)].set()
            elif office.users:
                office.users[number % len(office.users)].cancel()
            await office.settle()
            assert sum(office.queue.holds.values()) == office.queue.in_flight <= 4
            assert office.queue.depth <= 3
        await office.close()
        assert not office.queue.holds

    asyncio.run(play())


# ---- quotas


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 900)), max_size=60))
def test_a_key_gets_its_tokens_a_minute_and_no_more(charges: list[tuple[float, int]]) -> None:
    """A key gets at most a full bucket and what has flowed in since; a refusal says when to come again."""
    quota = TokenQuota(GatewayLimits(tokens_per_minute_per_key=600))
    now, taken = 0.0, 0
    for wait_s, tokens in charges:
        now += wait_s
        again_s = quota.charge("k", tokens, now)
        if again_s is None:
            taken += tokens
        elif tokens <= 600:
            assert quota.charge("k", tokens, now + again_s + 1e-6) is None
            quota.refund("k", tokens)
            now += again_s + 1e-6
        assert taken <= 600 + now * 10 + 1e-6


def test_keys_do_not_share_their_tokens() -> None:
    """A refund goes to the key that paid, and never above the bucket."""
    quota = TokenQuota(GatewayLimits(tokens_per_minute_per_key=600))
    assert quota.charge("a", 600, 0.0) is None
    assert quota.charge("a", 10, 0.0) == pytest.approx(1.0)
    assert quota.charge("b", 600, 0.0) is None
    quota.refund("a", 10_000)
    assert quota.charge("a", 600, 0.0) is None
    quota.refund("nobody", 5)


def test_a_metered_key_has_fewer() -> None:
    """Its own limit, its own refill; all other keys have the common one."""
    quota = TokenQuota(GatewayLimits(tokens_per_minute_per_key=6000, metered_keys={"few": 60}))
    assert quota.charge("few", 60, 0.0) is None
    assert quota.charge("few", 3, 0.0) == pytest.approx(3.0)
    assert quota.charge("other", 6000, 0.0) is None
    quota.refund("few", 10_000)
    assert quota.charge("few", 61, 0.0) is not None
