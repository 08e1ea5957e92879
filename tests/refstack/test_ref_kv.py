"""Blocks, prefix cache and scheduler: no block is lost, none is shared that differs, and no answer shows any of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ref_core import CoreInHand

from servedrill.refstack.config import Costs
from servedrill.refstack.engine import messages as m
from servedrill.refstack.engine.kv_cache import BlockManager, KVPool
from servedrill.refstack.engine.prefix_cache import PrefixCache

SHARED = [f"w{i}" for i in range(30)]
PROMPTS = st.tuples(st.integers(0, 20), st.lists(st.sampled_from("abc"), min_size=1, max_size=12)).map(
    lambda p: SHARED[: p[0]] + p[1]
)
SUBMITS = st.tuples(st.just("submit"), PROMPTS, st.integers(1, 14), st.integers(1, 3), st.integers(0, 3))
OPERATIONS = st.lists(
    SUBMITS
    | st.tuples(st.just("abort"), st.integers(0, 10))
    | st.tuples(st.just("step"), st.integers(1, 12))
    | st.tuples(st.just("reset")),
    min_size=1,
    max_size=25,
)


@pytest.fixture
def cores() -> Iterator[list[CoreInHand]]:
    """Cores to be closed in the end."""
    made: list[CoreInHand] = []
    yield made
    for core in made:
        core.close()


def played(operations: list[tuple[Any, ...]], **limits: Any) -> CoreInHand:
    """A core after all of these, with its books looked at in between."""
    core = CoreInHand(**limits)
    for number, (name, *arguments) in enumerate(operations):
        if name == "submit":
            prompt, max_tokens, n, seed = arguments
            core.submit_words(f"r{number}", prompt, max_tokens=max_tokens, n=n, seed=seed)
        elif name == "abort" and core.requests:
            core.abort(sorted(core.requests)[arguments[0] % len(core.requests)])
        elif name == "step":
            for _ in range(arguments[0]):
                core.step_once()
                core.check_books()
        elif name == "reset":
            assert core.cache.reset() == (not any(sequence.blocks for sequence in core.live()))
        core.check_books()
    return core


@settings(max_examples=80, deadline=None)
@given(OPERATIONS, st.integers(12, 40), st.integers(1, 6), st.sampled_from([3, 16, 64]))
def test_books_are_right_whatever_happens(
    operations: list[tuple[Any, ...]], blocks: int, seqs: int, batch: int
) -> None:
    """Every block is accounted for after submits, aborts, steps and resets in any order, in too small a pool."""
    core = played(operations, blocks=blocks, max_num_seqs=seqs, max_num_batched_tokens=batch)
    try:
        core.run_dry()
        assert core.blocks.held == 0
        assert core.positions_max <= batch
        for (name, choice), text in core.texts.items():
            whole = core.expected(name, choice)
            assert text == whole if (name, choice) in core.finishes else whole.startswith(text)
    finally:
        core.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(SUBMITS, min_size=4, max_size=10))
def test_preemption_is_not_seen_in_any_answer(submits: list[tuple[Any, ...]]) -> None:
    """With a pool for one long sequence or for all of them, every sequence finishes, with the same tokens."""
    roomy, cramped = played(submits, blocks=400, max_num_seqs=8), played(submits, blocks=12, max_num_seqs=8)
    try:
        roomy.run_dry()
        cramped.run_dry()
        assert roomy.scheduler.preemptions == 0
        assert cramped.texts == roomy.texts
        assert cramped.finishes == roomy.finishes
        assert set(roomy.finishes.values()) == {"length"}
    finally:
        roomy.close()
        cramped.close()


def test_a_cramped_pool_does_preempt(cores: list[CoreInHand]) -> None:
    """The youngest is preempted, goes to the front of the queue, and its answer is the same."""
    core = CoreInHand(blocks=8)
    cores.append(core)
    for number in range(3):
        core.submit_words(f"r{number}", [f"p{number}{i}" for i in range(6)], max_tokens=14)
    core.run_dry()
    assert core.scheduler.preemptions > 0
    assert {key: core.expected(*key) for key in core.texts} == core.texts
    assert list(core.finishes) == [("r0", 0), ("r1", 0), ("r2", 0)]


@settings(max_examples=40, deadline=None)
@given(st.lists(SUBMITS, min_size=1, max_size=8), st.integers(0, 30))
def test_after_everything_is_aborted_nothing_is_held(submits: list[tuple[Any, ...]], steps: int) -> None:
    """An aborted request holds nothing, whether queued, in prefill, decoding or preempted."""
    core = played([*submits, *[("step", 1)] * steps], blocks=14)
    try:
        for name in core.requests:
            core.abort(name)
            core.check_books()
        assert (core.blocks.held, core.scheduler.busy, core.live()) == (0, False, [])
        core.submit_words("after", ["a", "b"], max_tokens=3)
        core.run_dry()
        assert core.texts["after", 0] == core.expected("after", 0)
    finally:
        core.close()


# ---- the tests are tested


@pytest.mark.parametrize(
    "defect",
    ["BlocksKeptOnCancel", "DoubleFree", "OnlyFirstChoiceAborted", "QueuedNotAborted", "WrongSequenceAborted"],
)
def test_the_books_show_a_known_bug(defect: str, cores: list[CoreInHand]) -> None:
    """Each of the shipped defects of the core's memory breaks what the tests above look at."""
    core = CoreInHand(defects=(f"servedrill.refstack.defects.engine:{defect}",), blocks=24, max_num_seqs=2)
    cores.append(core)

    def drill() -> None:
        for number in range(4):
            core.submit_words(f"r{number}", [*SHARED[:8], f"own{number}"], max_tokens=6, n=2)
            core.step_once()
            core.check_books()
        core.abort("r0")
        core.step_once()
        core.abort("r3")
        core.check_books()
        assert {sequence.request.id for sequence in core.live()} == {"r1", "r2"}
        core.run_dry()
        assert all(
            core.texts[name, choice] == core.expected(name, choice) for name in ("r1", "r2") for choice in (0, 1)
        )

    with pytest.raises((AssertionError, KeyError, IndexError)):
        drill()


# ---- prefixes


def test_a_request_begins_once(cores: list[CoreInHand]) -> None:
    """A request's own cost is due in one step: in pieces, with a cached prefix, or again after preemption."""
    seen = []

    class NotingCore(CoreInHand):
        def step_cost(self, *, prefill: int, decode: int, begun: int = 0) -> float:
            seen.append(begun)
            return super().step_cost(prefill=prefill, decode=decode, begun=begun)

    core = NotingCore(max_num_batched_tokens=8, blocks=10)
    cores.append(core)
    for number in range(4):
        core.submit_words(f"r{number}", SHARED[: 10 + number], max_tokens=12)
    core.run_dry()
    assert core.scheduler.preemptions > 0
    assert sum(seen) == 4 < len(seen)
    core.costs = Costs(overhead_s=0.25, prefill_s_per_token=0.01, decode_s_per_sequence=0.125, request_s=0.5)
    assert core.step_cost(prefill=100, decode=2, begun=2) == pytest.approx(0.25 + 1 + 0.25 + 1)


def test_a_shared_prefix_is_computed_once(cores: list[CoreInHand]) -> None:
    """The second request starts behind the blocks of the first, and says how many tokens that were."""
    core = CoreInHand(max_num_batched_tokens=64)
    cores.append(core)
    core.submit_words("first", [*SHARED[:10], "x"], max_tokens=2)
    core.run_dry()
    core.submit_words("second", [*SHARED[:10], "y"], max_tokens=2)
    core.step_once()
    (second,) = core.scheduler.running
    assert (second.cached, core.cache.hits) == (8, 8)
    core.run_dry()
    assert core.texts["second", 0] == core.expected("second", 0)


def test_the_last_position_is_always_computed(cores: list[CoreInHand]) -> None:
    """A prompt that is cached whole has its last position computed, for the first token's state."""
    core = CoreInHand(max_num_batched_tokens=64)
    cores.append(core)
    for name in ("first", "second"):
        core.submit_words(name, SHARED[:8], max_tokens=3)
        core.run_dry()
        assert core.texts[name, 0] == core.expected(name, 0)
    assert core.cache.hits == 4


def test_adapters_do_not_share_prefixes() -> None:
    """Neither two adapters nor two revisions of one share cached blocks."""
    cache = PrefixCache(BlockManager(8), 4)
    salts = [cache.salt(adapter=name, revision=path) for name, path in (("", ""), ("a", "1"), ("a", "2"), ("b", "1"))]
    keys = [tuple(cache.keys(SHARED[:8], salt)) for salt in salts]
    assert len(set(keys)) == 4
    assert [len(each) for each in keys] == [2] * 4
    assert cache.keys(SHARED[:3], "") == []
    assert cache.keys(SHARED[:4], "") == cache.keys(SHARED[:7], "")


def test_new_weights_and_sleep_empty_the_cache(cores: list[CoreInHand]) -> None:
    """States of other weights, or of memory given back, are never found again."""
    core = CoreInHand(max_num_batched_tokens=64)
    cores.append(core)
    for message in (m.Load(version="v1"), m.Sleep(level=2), m.ResetPrefixCache()):
        core.submit_words("warm", SHARED[:12], max_tokens=1)
        core.run_dry()
        assert core.cache.block_of
        answers = [core.handle(message)]
        if isinstance(message, m.Sleep):
            assert (core.pool.bytes_held, core.weights.bytes_held, core.can_step) == (0, 0, False)
            answers.append(core.handle(m.Wake()))
        assert (core.cache.block_of, core.cache.key_of, len(core.blocks.free)) == ({}, {}, 24)
        core.check_books()
        assert all(done is not None and done.ok for done in answers)


def test_the_cache_is_not_emptied_under_running_sequences(cores: list[CoreInHand]) -> None:
    """A reset while sequences hold blocks is refused."""
    core = CoreInHand()
    cores.append(core)
    core.submit_words("r", SHARED[:6], max_tokens=9)
    core.step_once()
    assert core.handle(m.ResetPrefixCache()) == m.Done(ok=False, detail="blocks are held", version="v1", adapters={})


def test_cached_blocks_go_oldest_first() -> None:
    """Free blocks are used before cached ones, and of these the least recently used."""
    blocks = BlockManager(3)
    evicted: list[int] = []
    blocks.on_evict = evicted.append
    a, b, c = (blocks.allocate() for _ in range(3))
    assert blocks.allocate() is None
    assert (a, b, c) == (0, 1, 2)
    for block in (1, 0):
        blocks.release(block, keep_cached=True)
    blocks.release(2, keep_cached=False)
    blocks.retain(1)
    blocks.release(1, keep_cached=True)
    assert [blocks.allocate() for _ in range(3)] == [2, 0, 1]
    assert evicted == [0, 1]


@pytest.mark.parametrize("max_num_batched_tokens", [1, 3, 512])
def test_chunks_do_not_change_an_answer(max_num_batched_tokens: int, cores: list[CoreInHand]) -> None:
    """A prompt computed at once and one computed a position a step get the same answer."""
    core = CoreInHand(max_num_batched_tokens=max_num_batched_tokens)
    cores.append(core)
    core.submit_words("r", SHARED[:20], max_tokens=5, n=2)
    core.run_dry()
    assert [core.texts["r", choice] for choice in (0, 1)] == [core.expected("r", choice) for choice in (0, 1)]


def test_memory_is_really_taken_and_given_back() -> None:
    """States are read back from the pool, which can be discarded and taken again."""
    pool = KVPool(blocks=3, block_tokens=4, block_bytes=64)
    pool.write(2, 7, 2**63 + 1)
    assert (pool.read(2, 7), pool.read(2, 3), pool.bytes_held) == (2**63 + 1, 2**63 + 1, 192)
    pool.allocate()
    assert pool.read(2, 7) == 2**63 + 1
    pool.discard()
    pool.discard()
    assert pool.bytes_held == 0
    pool.allocate()
    assert pool.read(2, 7) != 2**63 + 1
    pool.discard()


@pytest.mark.parametrize("stop", ["x", "zz", " "])
def test_no_part_of_a_stop_string_is_sent(stop: str, cores: list[CoreInHand]) -> None:
    """Text is held back while it may be the beginning of a stop string."""
    core = CoreInHand()
    cores.append(core)
    core.submit_words("plain", ["a"], max_tokens=30)
    core.run_dry()
    whole = core.texts["plain", 0]
    spanning = whole[12:17] if stop == " " else whole[8:10] + stop
    core.submit_words("stopped", ["a"], max_tokens=30, stop=[spanning])
    core.run_dry()
    at = whole.find(spanning)
    assert core.texts["stopped", 0] == (whole[:at] if at >= 0 else whole)
    assert core.finishes["stopped", 0] == ("stop" if at >= 0 else "length")
