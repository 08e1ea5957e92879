"""What the next step computes for which sequence: continuous batching with chunked prefill and preemption.

Running sequences go first, oldest first, one position each once they decode; what is left of the step's token budget
prefills. When no block is left, the youngest running sequence is preempted: its blocks are released and all of it is
computed again later (recompute preemption, as vLLM does it).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from servedrill.refstack.config import EngineLimits
from servedrill.refstack.engine.kv_cache import BlockManager
from servedrill.refstack.engine.prefix_cache import PrefixCache
from servedrill.refstack.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Work:
    """Compute ``positions`` more positions of ``sequence`` in this step."""

    sequence: Sequence
    positions: int


class ContinuousBatching:
    """Waiting and running sequences, and the plan of a step."""

    policy = "scheduler"

    def __init__(self, limits: EngineLimits, blocks: BlockManager, cache: PrefixCache) -> None:
        self.limits, self.blocks, self.cache = limits, blocks, cache
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.preemptions = 0

    @property
    def busy(self) -> bool:
        """Whether any sequence waits or runs."""
        return bool(self.waiting or self.running)

    def add(self, sequence: Sequence) -> None:
        """A new sequence, to the end of the queue."""
        self.waiting.append(sequence)

    def plan(self) -> list[Work]:
        """The work of the next step; at most ``max_num_batched_tokens`` positions."""
        budget = self.limits.max_num_batched_tokens
        work: list[Work] = []
        preempted = False
        for sequence in list(self.running):
            if sequence not in self.running:
                continue
            positions = min(sequence.missing, budget)
            if positions == 0:
                continue
            while not self.reserve(sequence, positions):
                victim = self.running[-1]
                self.preempt(victim)
                preempted = True
                if victim is sequence:
                    break
            else:
                work.append(Work(sequence, positions))
                budget -= positions
        while self.waiting and budget > 0 and not preempted and len(self.running) < self.limits.max_num_seqs:
            sequence = self.waiting[0]
            self.reuse_prefix(sequence)
            positions = min(sequence.missing, budget)
            if not self.reserve(sequence, positions):
                self.release(sequence)
                break
            self.waiting.popleft()
            self.running.append(sequence)
            work.append(Work(sequence, positions))
            budget -= positions
        return work

    def reuse_prefix(self, sequence: Sequence) -> None:
        """Start behind the longest cached prefix; at least one position is left to compute."""
        usable = (len(sequence.tokens) - 1) // self.limits.block_tokens
        sequence.blocks = self.cache.lookup(sequence.keys[:usable])
        sequence.computed = sequence.cached = len(sequence.blocks) * self.limits.block_tokens

    def reserve(self, sequence: Sequence, positions: int) -> bool:
        """Blocks for ``positions`` more; all of them or none."""
        needed = -(-(sequence.computed + positions) // self.limits.block_tokens) - len(sequence.blocks)
        if needed > self.blocks.available:
            return False
        for _ in range(needed):
            block = self.blocks.allocate()
            if block is None:
                return False
            sequence.blocks.append(block)
        return True

    def preempt(self, victim: Sequence) -> None:
        """Back to the front of the queue, to be computed again from its first token."""
        self.running.remove(victim)
        self.release(victim)
        victim.preemptions += 1
        self.preemptions += 1
        self.waiting.appendleft(victim)

    def release(self, sequence: Sequence) -> None:
        """Give the sequence's blocks back."""
        for block in reversed(sequence.blocks):
            self.blocks.release(block, keep_cached=self.cache.remembers(block))
        sequence.blocks = []
        sequence.computed = 0

    def finish(self, sequence: Sequence) -> None:
        """The sequence ended by itself."""
        self.running.remove(sequence)
        self.release(sequence)

    def of_request(self, request_id: str) -> list[Sequence]:
        """Every sequence of a request that is still here, running ones first."""
        return [s for s in (*self.running, *self.waiting) if s.request.id == request_id]

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out, wherever it is, and release its blocks."""
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        self.release(sequence)
