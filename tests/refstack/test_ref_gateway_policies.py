"""The gateway's smaller policies: whom it asks, what it remembers, how it resumes, what it says, how long it waits."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ref_core import small_stack

from servedrill.refstack.config import GatewayLimits, Stack
from servedrill.refstack.gateway.aliases import Aliases
from servedrill.refstack.gateway.balancer import LeastInFlight
from servedrill.refstack.gateway.error_body import OpenAIErrors
from servedrill.refstack.gateway.health import ActiveHealth
from servedrill.refstack.gateway.idempotency import IdempotencyKeys, Stored
from servedrill.refstack.gateway.keep_alive import ShorterThanPeer
from servedrill.refstack.gateway.resume import TokenExactResume
from servedrill.refstack.gateway.timeouts import Timeouts

LIMITS = GatewayLimits()

# ---- whom to ask


def test_health_goes_by_probes_in_a_row() -> None:
    """Unknown is unhealthy, one bad probe is no outage, and an engine's own 503 counts at once."""
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
    """The models of an engine are those of its last answer, however long ago."""
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
    """Untried candidates come first, and of these one with the fewest requests."""
    chosen = LeastInFlight(random.Random(1)).choose(sorted(candidates), in_flight, tried)
    fresh = candidates - set(tried) or candidates
    assert chosen in fresh
    assert in_flight.get(chosen, 0) == min(in_flight.get(name, 0) for name in fresh)


def test_equals_are_chosen_by_chance() -> None:
    """Among equally busy engines the choice is random, so that two gateways do not move in step."""
    balancer = LeastInFlight(random.Random(1))
    counts = Counter(balancer.choose(["a", "b", "c"], {}, []) for _ in range(300))
    assert min(counts.values()) > 60


def test_an_alias_has_versions_by_weight() -> None:
    """Versions are drawn by weight, none with weight 0, and any other name stands for itself."""
    aliases = Aliases(random.Random(1))
    aliases.set({"m": {"v1": 0.75, "v2": 0.25, "v0": 0.0}})
    firsts = Counter(aliases.versions("m")[0] for _ in range(1000))
    assert 200 < firsts["v2"] < 300
    assert sorted(aliases.versions("m")) == ["v1", "v2"]
    assert aliases.versions("v9") == ["v9"]
    aliases.set({"m": {"v2": 1.0}})
    assert aliases.versions("m") == ["v2"]


# ---- keys


def test_a_key_that_is_sent_again_gets_the_first_answer() -> None:
    """A repeated key waits for the first answer; a failure is forgotten, so that it can be tried again."""

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


# ---- resumed streams


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
    """A continuation has the text so far in its prompt and the rest of the limit, or is not possible."""
    assert TokenExactResume().continuation(body, route="completions", text=" a b c", tokens=3) == more


def test_a_resumed_chat_continues_its_last_message() -> None:
    """A chat is continued with vLLM's parameters, and the first body is left as it was."""
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
    """A second preamble is not passed on; content always is."""
    resume = TokenExactResume()
    assert resume.forwards(role="assistant", has_content=False, resumed=False)
    assert not resume.forwards(role="assistant", has_content=False, resumed=True)
    assert resume.forwards(role=None, has_content=True, resumed=True)


# ---- errors and waits


def test_errors_have_one_schema() -> None:
    """An error has message, type, code, parameter and request id; Retry-After where trying again helps."""
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
    """Each wait has a bound; that of a whole answer grows with its length up to the limit of a try."""
    timeouts = Timeouts(LIMITS)
    assert 0 < (timeouts.whole_s(10) or 0) < (timeouts.whole_s(100) or 0) <= LIMITS.try_timeout_s
    assert timeouts.whole_s(10_000) == LIMITS.try_timeout_s
    bounds = [timeouts.connect_s(), timeouts.first_token_s(), timeouts.idle_s(), timeouts.request_s()]
    assert all(bound is not None and bound > 0 for bound in bounds)


def test_a_pool_gives_up_before_its_peer() -> None:
    """The pool's keep-alive is below the engine's, whatever the two are set to."""
    base = small_stack()
    for engine_s in (0.5, 2.0, 60.0):
        stack = Stack(
            **{**{name: getattr(base, name) for name in base.__struct_fields__}, "engine_keep_alive_s": engine_s}
        )
        assert ShorterThanPeer(stack).pool_s() < engine_s
