"""An engine's core in our hands: no process, no clock, one step at a time, and its books looked at after each."""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any

from servedrill.oracle.tokens import expected_tokens
from servedrill.refstack.config import Costs, Engine, EngineLimits, ModelVersion, Stack
from servedrill.refstack.engine import messages as m
from servedrill.refstack.engine.core import Core
from servedrill.refstack.engine.sequence import Sequence
from servedrill.refstack.policies import Policies

NO_COST = Costs(overhead_s=0, prefill_s_per_token=0, decode_s_per_sequence=0, warmup_steps=0)


def small_stack(**limits: Any) -> Stack:
    """A stack of one engine whose pool has 24 blocks of 4 tokens, unless told otherwise."""
    small = {
        "max_num_seqs": 4,
        "max_num_batched_tokens": 16,
        "blocks": 24,
        "block_tokens": 4,
        "block_bytes": 64,
        "activation_bytes_per_token": 64,
    }
    return Stack(
        engines=[Engine(name="engine-0", port=1)],
        gateways=[],
        control_port=1,
        alerts_port=1,
        dns_port=0,
        log_dir="/nowhere",
        costs=NO_COST,
        models=[ModelVersion(version=version, load_s=0, weights_bytes=4096) for version in ("v1", "v2")],
        engine_limits=EngineLimits(**{**small, **limits}),
    )


class CoreInHand(Core):
    """Steps when told; what it would send is kept."""

    def __init__(self, *, defects: tuple[str, ...] = (), **limits: Any) -> None:
        link, self._other = socket.socketpair()
        super().__init__(small_stack(**limits), Policies(defects), link)
        self.sent: list[m.FromCore] = []
        self.requests: dict[str, m.Submit] = {}
        self.texts: dict[tuple[str, int], str] = {}
        self.finishes: dict[tuple[str, int], str] = {}
        self.positions_max = 0
        self.weights.switch(self.weights.find("v1"))

    def close(self) -> None:
        self.link.close()
        self._other.close()
        self.pool.discard()
        self.weights.release()

    def send(self, message: m.FromCore) -> None:
        self.sent.append(message)

    def submit_words(
        self, name: str, prompt: list[str], *, max_tokens: int, n: int = 1, seed: int = 0, **more: Any
    ) -> None:
        """A completion request for these words."""
        request = m.Submit(
            id=name,
            model="v1",
            prompt=prompt,
            n=n,
            max_tokens=max_tokens,
            temperature=0.5,
            seed=seed,
            ignore_eos=True,
            **more,
        )
        self.requests[name] = request
        self.handle(request)

    def step_once(self) -> None:
        """One step, with its tokens put where they belong."""
        if not self.can_step:
            return
        for token in self.step():
            key = token.id, token.choice
            self.texts[key] = self.texts.get(key, "") + token.text
            if token.finish:
                self.finishes[key] = token.finish

    def run_dry(self, *, steps_max: int = 3000) -> None:
        """Until nothing is left to do; looks at the books after every step."""
        for _ in range(steps_max):
            if not self.scheduler.busy:
                return
            self.step_once()
            self.check_books()
        raise AssertionError(
            f"{len(self.scheduler.running)} running and {len(self.scheduler.waiting)} waiting after {steps_max} steps"
        )

    def abort(self, name: str) -> None:
        self.handle(m.Abort(ids=[name]))

    def expected(self, name: str, choice: int) -> str:
        """What the oracle says that a request's choice has to be."""
        request = self.requests[name]
        words, _ = expected_tokens(
            version="v1", prompt=" ".join(request.prompt), chat=False, max_tokens=request.max_tokens, temperature=0.5,
            seed=request.seed, choice=choice, ignore_eos=True,
        )  # fmt: skip
        return "".join(f" {word}" for word in words)

    # ---- the books

    def live(self) -> list[Sequence]:
        return [*self.scheduler.running, *self.scheduler.waiting]

    def check_books(self) -> None:
        """Every block is free, cached or held by exactly those that say so, and shared only where it is the same."""
        blocks, cache, width = self.blocks, self.cache, self.limits.block_tokens
        held = Counter(block for sequence in self.live() for block in sequence.blocks)
        assert len(blocks.free) == len(set(blocks.free)), "a block is free twice"
        assert {*blocks.free, *blocks.cached, *held} == set(range(blocks.blocks)), "a block is nowhere"
        assert len(blocks.free) + len(blocks.cached) + len(held) == blocks.blocks, "a block is in two places"
        assert all(blocks.references[block] == held[block] for block in range(blocks.blocks)), "a count is wrong"
        assert blocks.held == len(held)
        assert {key: block for block, key in cache.key_of.items()} == cache.block_of
        assert set(blocks.cached) <= set(cache.key_of)
        users: dict[int, tuple[int, list[str]]] = {}
        for sequence in self.live():
            assert len(sequence.blocks) == len(set(sequence.blocks)), "a sequence holds a block twice"
            assert len(sequence.blocks) * width >= sequence.computed, "a state has no place"
            for index, block in enumerate(sequence.blocks):
                prefix = index, sequence.tokens[: (index + 1) * width]
                assert held[block] == 1 or users.setdefault(block, prefix) == prefix, (
                    "two sequences share what is not the same"
                )
        assert all(not sequence.blocks and not sequence.computed for sequence in self.scheduler.waiting)
        assert len(self.scheduler.running) <= self.limits.max_num_seqs

    def advance(self, work: Any) -> Any:
        self._positions += work.positions
        self.positions_max = max(self.positions_max, self._positions)
        return super().advance(work)

    def step(self) -> list[m.Token]:
        self._positions = 0
        return super().step()
