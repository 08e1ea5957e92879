"""The gateway's policies: how often it tries, how long it waits, what it refuses, whom it asks."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ref_core import small_stack

from servedrill.refstack import wire
from servedrill.refstack.config import GatewayLimits, Stack
from servedrill.refstack.gateway.admission import BoundedQueue, Overloaded
from servedrill.refstack.gateway.aliases import Aliases
from servedrill.refstack.gateway.balancer import LeastInFlight
from servedrill.refstack.gateway.breaker import CLOSED, HALF_OPEN, OPEN, CircuitBreaker
from servedrill.refstack.gateway.error_body import OpenAIErrors
from servedrill.refstack.gateway.health import ActiveHealth
from servedrill.refstack.gateway.idempotency import IdempotencyKeys, Stored
from servedrill.refstack.gateway.keep_alive import ShorterThanPeer
from servedrill.refstack.gateway.outcome import Outcome
from servedrill.refstack.gateway.quota import TokenQuota
from servedrill.refstack.gateway.resume import TokenExactResume
from servedrill.refstack.gateway.retry import FullJitterRetry, RetryBudget
from servedrill.refstack.gateway.timeouts import Timeouts

LIMITS = GatewayLimits()
KINDS = ["connect", "reset", "first_token_timeout", "idle_timeout", "try_timeout", "cut", "error_event", "stale"]


def failed(
    kind: str = "reset",
    *,
    status: int | None = None,
    upstream: str = "a",
    retry_after_s: float | None = None,
    ended: float = 0.0,
) -> Outcome:
    return Outcome(
        upstream=upstream, kind="status" if status else kind, status=status, retry_after_s=retry_after_s, ended=ended
    )


OK = Outcome(upstream="a", kind="ok", began=1000.0)
CANCELLED = Outcome(upstream="a", kind="cancelled")

# ---- retries


@given(st.integers(1, 12), st.integers(0, 2**32), st.sampled_from([*KINDS, 500, 503, 502]))
def test_backoff_has_full_jitter_within_bounds(tries: int, seed: int, how: Any) -> None:
    """From nought to a bound that doubles with each try and stops growing."""
    limits = GatewayLimits(max_tries=100)
    outcome = failed(status=how) if isinstance(how, int) else failed(how)
    delay_s = FullJitterRetry(limits, random.Random(seed)).delay_s([outcome] * tries)
    assert delay_s is not None
    assert 0 <= delay_s <= min(limits.backoff_max_s, limits.backoff_base_s * 2**tries)


def test_backoff_spreads_over_all_of_it() -> None:
    """Not a fixed step with a little noise."""
    retry = FullJitterRetry(LIMITS, random.Random(1))
    delays = [retry.delay_s([failed()]) or 0.0 for _ in range(500)]
    bound = LIMITS.backoff_base_s * 2
    assert min(delays) < bound * 0.05
    assert max(delays) > bound * 0.95


@pytest.mark.parametrize(
    "tries",
    [
        pytest.param([OK], id="answered"),
        pytest.param([CANCELLED], id="client-gone"),
        *(pytest.param([failed(status=status)], id=str(status)) for status in (400, 401, 403, 404, 409, 413, 422)),
        pytest.param([failed()] * 3, id="third-of-three"),
        pytest.param([failed(), failed(status=400)], id="400-at-last"),
    ],
)
def test_no_retry_that_could_not_help(tries: list[Outcome]) -> None:
    """Neither a request's own fault, nor for a client that is gone, nor more often than promised."""
    assert FullJitterRetry(LIMITS, random.Random(1)).delay_s(tries) is None


@pytest.mark.parametrize("how", [*KINDS, 408, 429, 500, 502, 503, 504])
def test_retries_that_could_help(how: Any) -> None:
    """Everything that another engine, or a moment, may make good."""
    outcome = failed(status=how) if isinstance(how, int) else failed(how)
    assert FullJitterRetry(LIMITS, random.Random(1)).delay_s([outcome]) is not None


@given(st.floats(0.1, 10), st.floats(0, 10), st.integers(0, 100))
def test_a_429_is_waited_for_wherever_the_next_try_goes(asked_s: float, passed_s: float, seed: int) -> None:
    """Its Retry-After counts from its own end, also when another failure came after it."""
    retry = FullJitterRetry(GatewayLimits(max_tries=9), random.Random(seed))
    first = failed(status=429, retry_after_s=asked_s, ended=100.0)
    alone, later = retry.delay_s([first]), retry.delay_s([first, failed(ended=100.0 + passed_s)])
    assert alone is not None
    assert later is not None
    assert asked_s <= alone <= asked_s + 0.1
    assert max(0.0, asked_s - passed_s) - 1e-9 <= later <= max(0.0, asked_s - passed_s) + 0.2


def test_a_503_is_waited_for_at_the_one_that_said_it() -> None:
    """Others may be tried at once; a try there has to wait."""
    retry = FullJitterRetry(LIMITS, random.Random(1))
    tries = [failed(status=503, upstream="a", retry_after_s=5.0, ended=100.0), failed(upstream="b", ended=101.0)]
    delay_s = retry.delay_s(tries)
    assert delay_s is not None
    assert delay_s <= 0.2
    assert retry.not_before(tries) == {"a": 105.0}


MOMENTS = st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=150)


@settings(max_examples=100)
@given(MOMENTS, st.floats(0, 1), st.floats(0, 3))
def test_retries_stay_within_their_budget(moments: list[tuple[float, bool]], ratio: float, min_per_s: float) -> None:
    """Whenever requests and retries come: never more retries than a burst, a share of the requests, and a few a second."""
    budget = RetryBudget(GatewayLimits(retry_budget_ratio=ratio, retry_budget_min_per_s=min_per_s))
    now, deposits, granted = 100.0, 0, 0
    for wait_s, is_request in moments:
        now += wait_s
        if is_request:
            budget.deposit(now)
            deposits += 1
        elif budget.withdraw(now):
            granted += 1
        assert granted <= budget.burst + ratio * deposits + min_per_s * (now - 100.0) + 1e-6
        assert 0 <= budget.balance <= budget.burst


def test_a_spent_budget_refills() -> None:
    """After an outage there is room for retries again: by the second, and by requests."""
    budget = RetryBudget(GatewayLimits(retry_budget_ratio=0.5, retry_budget_min_per_s=1.0))
    assert [budget.withdraw(0.0) for _ in range(11)] == [True] * 10 + [False]
    assert not budget.withdraw(0.9)
    assert budget.withdraw(1.1)
    for _ in range(2):
        budget.deposit(1.1)
    assert budget.withdraw(1.1)


# ---- the breaker

NEUTRAL = [CANCELLED, failed(status=400), failed(status=404), failed(status=429), failed("stale")]
AGAINST = [
    failed("reset"),
    failed("connect"),
    failed("first_token_timeout"),
    failed("cut"),
    failed(status=500),
    failed(status=503),
]


@pytest.mark.parametrize("outcome", AGAINST, ids=lambda o: f"{o.kind}-{o.status}")
def test_a_breaker_opens_after_failures_in_a_row(outcome: Outcome) -> None:
    """Not before, and what succeeds in between begins the row again."""
    breaker = CircuitBreaker(LIMITS)
    for each in (outcome, outcome, OK, outcome, outcome):
        breaker.record(each, 1.0)
        assert breaker.allows("a", 1.0)
    breaker.record(outcome, 1.0)
    assert not breaker.allows("a", 1.5)
    assert breaker.allows("b", 1.5)


@pytest.mark.parametrize("outcome", NEUTRAL, ids=lambda o: f"{o.kind}-{o.status}")
def test_what_says_nothing_of_an_upstream_counts_neither_way(outcome: Outcome) -> None:
    """A caller's own fault neither opens a breaker nor makes good for failures."""
    breaker = CircuitBreaker(LIMITS)
    for _ in range(50):
        breaker.record(outcome, 1.0)
    assert breaker.circuit("a").state == CLOSED
    for _ in range(2):
        breaker.record(failed(), 1.0)
        breaker.record(outcome, 1.0)
    breaker.record(failed(), 1.0)
    assert breaker.circuit("a").state == OPEN


def half_open(now: float = 10.0) -> CircuitBreaker:
    breaker = CircuitBreaker(LIMITS)
    for _ in range(LIMITS.breaker_failures):
        breaker.record(failed(), now - LIMITS.breaker_open_s)
    assert breaker.allows("a", now)
    assert breaker.circuit("a").state == HALF_OPEN
    return breaker


def test_one_request_probes_a_half_open_breaker() -> None:
    """While it is under way nobody else is let through; an answer closes the breaker for all."""
    breaker = half_open()
    breaker.began("a")
    assert not breaker.allows("a", 10.0)
    breaker.record(OK, 10.1)
    assert breaker.allows("a", 10.1)
    assert breaker.circuit("a").state == CLOSED
    breaker.record(failed(), 10.2)
    assert breaker.circuit("a").state == CLOSED


def test_an_answer_to_an_older_request_closes_nothing() -> None:
    """A stream that began before the upstream failed says nothing of how it is now."""
    breaker = half_open()
    breaker.record(Outcome(upstream="a", kind="ok", began=8.0), 10.0)
    assert breaker.circuit("a").state == HALF_OPEN
    breaker.record(Outcome(upstream="a", kind="ok", began=9.5), 10.0)
    assert breaker.circuit("a").state == CLOSED


def test_a_failed_probe_opens_the_breaker_again() -> None:
    """For as long as the first time."""
    breaker = half_open()
    breaker.began("a")
    breaker.record(failed(), 10.5)
    assert not breaker.allows("a", 11.4)
    assert breaker.allows("a", 11.6)


def test_a_probe_that_said_nothing_lets_the_next_one_probe() -> None:
    """A client that hung up must not leave the breaker half open for ever."""
    breaker = half_open()
    breaker.began("a")
    breaker.record(CANCELLED, 10.1)
    assert breaker.allows("a", 10.1)
    assert breaker.circuit("a").state == HALF_OPEN


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 0.6), st.sampled_from(["try", "ok", "fail", "neutral"])), max_size=80))
def test_a_breaker_never_gets_stuck(moments: list[tuple[float, str]]) -> None:
    """Whatever ends however: at most one probe at a time, nothing while open, and a way back at last."""
    breaker, now = CircuitBreaker(LIMITS), 100.0
    under_way: list[float] = []
    kinds = {"ok": "ok", "fail": "reset", "neutral": "cancelled"}
    for wait_s, what in moments:
        now += wait_s
        circuit = breaker.circuit("a")
        if what == "try":
            opened, state = circuit.opened, circuit.state
            if breaker.allows("a", now):
                assert state != OPEN or now - opened >= LIMITS.breaker_open_s
                breaker.began("a")
                under_way.append(now)
                assert circuit.state == CLOSED or not breaker.allows("a", now)
        elif under_way:
            breaker.record(Outcome(upstream="a", kind=kinds[what], began=under_way.pop(0)), now)
    for _ in under_way:
        breaker.record(CANCELLED, now)
    now += LIMITS.breaker_open_s
    assert breaker.allows("a", now)
    breaker.began("a")
    breaker.record(OK, now)
    assert breaker.circuit("a").state == CLOSED


# ---- admission


class Office:
    """Users of a bounded queue, each a task that holds its slot until told."""

    def __init__(self, **limits: Any) -> None:
        self.queue = BoundedQueue(
            GatewayLimits(**{"max_in_flight": 2, "max_queue": 3, "queue_timeout_s": 30.0, **limits})
        )
        self.holds: list[asyncio.Event] = []
        self.users: list[asyncio.Task[str]] = []
        self.order: list[int] = []

    def come(self, *, deadline_s: float = 30.0) -> asyncio.Task[str]:
        number, hold = len(self.users), asyncio.Event()

        async def use() -> str:
            try:
                await self.queue.acquire(deadline_s=deadline_s)
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
                self.queue.release(cancelled=cancelled)
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
    """Users come, leave and hang up at any time: never too many at work or in line, and in the end nobody is."""

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
    """With the seconds after which to come again."""

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
    """The shorter of the queue's own limit and the request's deadline; who gave up is in nobody's way."""

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
    """Whichever comes first in one moment, the turn or the hang-up: nobody works for who is gone, and no slot is lost."""

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


# ---- whom to ask


def test_health_goes_by_probes_in_a_row() -> None:
    """Unknown is unhealthy; one bad probe is no outage; a 503 is the engine's own word and counts at once."""
    health = ActiveHealth(LIMITS)
    assert not health.healthy("a")
    seen = []
    for status in (200, None, 200, None, 500, 200, 503, 200):
        health.observe("a", status=status, models=frozenset({"v1"}) if status else frozenset())
        seen.append(health.healthy("a"))
    assert seen == [True, True, True, True, False, True, False, True]
    assert health.serves("a", "v1")
    assert not health.serves("a", "v2")


def test_what_an_engine_serves_is_remembered_while_it_is_silent() -> None:
    """Silence says nothing of the model; an answer does."""
    health = ActiveHealth(LIMITS)
    health.observe("a", status=200, models=frozenset({"v1"}))
    health.observe("a", status=None, models=frozenset())
    assert health.serves("a", "v1")
    health.observe("a", status=503, models=frozenset({"v2"}))
    assert not health.serves("a", "v1")


@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(0, 4)),
    st.sets(st.sampled_from("abcde"), min_size=1),
    st.lists(st.sampled_from("abcde")),
)
def test_the_least_busy_that_was_not_tried(in_flight: dict[str, int], candidates: set[str], tried: list[str]) -> None:
    """One of the candidates, an untried one where there is one, and of these one with the fewest requests."""
    chosen = LeastInFlight(random.Random(1)).choose(sorted(candidates), in_flight, tried)
    fresh = candidates - set(tried) or candidates
    assert chosen in fresh
    assert in_flight.get(chosen, 0) == min(in_flight.get(name, 0) for name in fresh)


def test_equals_are_chosen_by_chance() -> None:
    """Two gateways must not move in step."""
    balancer = LeastInFlight(random.Random(1))
    counts = Counter(balancer.choose(["a", "b", "c"], {}, []) for _ in range(300))
    assert min(counts.values()) > 60


def test_an_alias_has_versions_by_weight() -> None:
    """The drawn one first, the others behind it; no weight, no traffic; any other name is itself."""
    aliases = Aliases(random.Random(1))
    aliases.set({"m": {"v1": 0.75, "v2": 0.25, "v0": 0.0}})
    firsts = Counter(aliases.versions("m")[0] for _ in range(1000))
    assert 200 < firsts["v2"] < 300
    assert sorted(aliases.versions("m")) == ["v1", "v2"]
    assert aliases.versions("v9") == ["v9"]
    aliases.set({"m": {"v2": 1.0}})
    assert aliases.versions("m") == ["v2"]


# ---- limits, keys, errors


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 900)), max_size=60))
def test_a_key_gets_its_tokens_a_minute_and_no_more(charges: list[tuple[float, int]]) -> None:
    """Whatever comes when: at most a full bucket and what has flowed in since; a refusal says when to come again."""
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
    """A refund goes back to the one who paid, and never above the bucket."""
    quota = TokenQuota(GatewayLimits(tokens_per_minute_per_key=600))
    assert quota.charge("a", 600, 0.0) is None
    assert quota.charge("a", 10, 0.0) == pytest.approx(1.0)
    assert quota.charge("b", 600, 0.0) is None
    quota.refund("a", 10_000)
    assert quota.charge("a", 600, 0.0) is None
    quota.refund("nobody", 5)


def test_a_key_that_is_sent_again_gets_the_first_answer() -> None:
    """Also while it is still on its way; a failure is forgotten, so that it can be tried again."""

    async def play() -> None:
        keys, stored = IdempotencyKeys(), Stored(200, "text/plain", b"x")
        assert keys.find("k") is None
        keys.begin("k")
        waiting = keys.find("k")
        assert waiting is not None
        assert not waiting.done()
        keys.end("k", stored)
        assert await waiting == stored
        again = keys.find("k")
        assert again is not None
        assert await again == stored
        keys.begin("f")
        broken = keys.find("f")
        keys.end("f", None)
        assert broken is not None
        assert await broken is None
        assert keys.find("f") is None
        keys.end("never begun", stored)
        for number in range(2000):
            keys.begin(f"k{number}")
        assert len(keys.answers) == 1000

    asyncio.run(play())


@pytest.mark.parametrize(
    ("body", "more"),
    [
        pytest.param({"n": 2, "prompt": "p"}, None, id="several-choices"),
        pytest.param({"stop": "x", "prompt": "p"}, None, id="stop-strings"),
        pytest.param({"prompt": "p", "max_tokens": 3}, None, id="all-tokens-came"),
        pytest.param(
            {"prompt": "p", "max_tokens": 10}, {"prompt": "p a b c", "max_tokens": 7, "continues": 3}, id="completion"
        ),
        pytest.param(
            {"prompt": "p", "n": 1, "stop": None},
            {"prompt": "p a b c", "n": 1, "stop": None, "continues": 3},
            id="no-limit",
        ),
    ],
)
def test_what_a_resumed_stream_asks_for(body: dict[str, Any], more: dict[str, Any] | None) -> None:
    """Its own text as part of the prompt, and the rest of the limit; nothing where that could not be exact."""
    assert TokenExactResume().continuation(body, route="completions", text=" a b c", tokens=3) == more


def test_a_resumed_chat_continues_its_last_message() -> None:
    """With the parameters that vLLM has for it; the body of the first try is left as it was."""
    body = {"messages": [{"role": "user", "content": "q"}], "max_completion_tokens": 9}
    more = TokenExactResume().continuation(body, route="chat", text=" a", tokens=1)
    assert more == {
        "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": " a"}],
        "max_completion_tokens": 8,
        "continue_final_message": True,
        "add_generation_prompt": False,
    }
    assert body == {"messages": [{"role": "user", "content": "q"}], "max_completion_tokens": 9}


def test_a_resumed_stream_has_one_preamble() -> None:
    """A second one is not passed on; content always is."""
    resume = TokenExactResume()
    assert resume.forwards(role="assistant", has_content=False, resumed=False)
    assert not resume.forwards(role="assistant", has_content=False, resumed=True)
    assert resume.forwards(role=None, has_content=True, resumed=True)


def test_errors_have_one_schema() -> None:
    """Message, type, code, parameter and request id; a whole number of seconds where trying again helps."""
    errors = OpenAIErrors()
    body = errors.body(503, "no", code="queue_full", request_id="r-1")
    assert body == {
        "error": {"message": "no", "type": "overloaded_error", "code": "queue_full", "param": None, "request_id": "r-1"}
    }
    assert [errors.retry_after_s(status, 0.2) for status in (429, 502, 503, 504, 400, 404, 500)] == [
        1,
        1,
        1,
        1,
        None,
        None,
        None,
    ]
    assert errors.retry_after_s(429, 7.4) == 7


def test_every_wait_is_bounded() -> None:
    """A whole answer's by its length, up to the limit of a try."""
    timeouts = Timeouts(LIMITS)
    assert 0 < (timeouts.whole_s(10) or 0) < (timeouts.whole_s(100) or 0) <= LIMITS.try_timeout_s
    assert timeouts.whole_s(10_000) == LIMITS.try_timeout_s
    bounds = [timeouts.connect_s(), timeouts.first_token_s(), timeouts.idle_s(), timeouts.request_s()]
    assert all(bound is not None and bound > 0 for bound in bounds)


def test_a_pool_gives_up_before_its_peer() -> None:
    """Whatever the two are set to."""
    base = small_stack()
    for engine_s in (0.5, 2.0, 60.0):
        stack = Stack(
            **{**{name: getattr(base, name) for name in base.__struct_fields__}, "engine_keep_alive_s": engine_s}
        )
        assert ShorterThanPeer(stack).pool_s() < engine_s


# ---- events on the wire


@given(st.lists(st.sampled_from([b"data: a", b"data: ", b": ping", b"event: x", b'data: {"a": "\xc3\xa9"}', b"data: [DONE]"]), max_size=8),
       st.sampled_from([b"\n", b"\r\n"]), st.lists(st.integers(0, 200), max_size=12))  # fmt: skip
def test_events_do_not_depend_on_how_they_were_cut(blocks: list[bytes], newline: bytes, cuts: list[int]) -> None:
    """TCP has no message boundaries."""
    data = b"".join(block + newline * 2 for block in blocks)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    splitter = wire.EventSplitter()
    found = [event for start, end in pairwise(edges) for event in splitter.feed(data[start:end])]
    assert found == [block[6:] for block in blocks if block.startswith(b"data: ")]
    assert splitter.empty
    splitter.feed(b"data: half")
    assert not splitter.empty
