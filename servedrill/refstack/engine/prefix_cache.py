"""The prefix cache: which block holds the state of which full block of prompt tokens.

A block is known by a chain of hashes over all tokens up to its end, salted with the adapter's identity, as in vLLM.
The weights' version is no part of the key, so a change of weights or a discard of the memory has to empty the cache.
"""

from __future__ import annotations

from collections.abc import Sequence

from servedrill.refstack.engine.kv_cache import BlockManager


class PrefixCache:
    """Maps chains of tokens to blocks."""

    policy = "prefix_cache"

    def __init__(self, blocks: BlockManager, block_tokens: int) -> None:
        self.block_manager, self.block_tokens = blocks, block_tokens
        self.block_of: dict[int, int] = {}
        self.key_of: dict[int, int] = {}
        self.queries = 0
        self.hits = 0
        blocks.on_evict = self.forget

    def salt(self, *, adapter: str, revision: str) -> str:
        """Keeps the blocks of different adapters apart; a reloaded adapter of the same name has another revision."""
        return f"{adapter}@{revision}"

    def keys(self, tokens: Sequence[str], salt: str) -> list[int]:
        """One key for each full block of ``tokens``."""
        keys, parent = [], hash(salt)
        for end in range(self.block_tokens, len(tokens) + 1, self.block_tokens):
            parent = hash((parent, tuple(tokens[end - self.block_tokens : end])))
            keys.append(parent)
        return keys

    def lookup(self, keys: Sequence[int]) -> list[int]:
        """The blocks of the longest known prefix; each is retained for the caller."""
        found: list[int] = []
        for key in keys:
            block = self.block_of.get(key)
            if block is None:
                break
            self.block_manager.retain(block)
            found.append(block)
        self.queries += len(keys) * self.block_tokens
        self.hits += len(found) * self.block_tokens
        return found

    def remember(self, key: int, block: int) -> None:
        """A full block has been computed."""
        if key not in self.block_of and block not in self.key_of:
            self.block_of[key] = block
            self.key_of[block] = key

    def remembers(self, block: int) -> bool:
        """Whether a block can still be found by its key."""
        return block in self.key_of

    def forget(self, block: int) -> None:
        """The block is being reused for something else."""
        key = self.key_of.pop(block, None)
        if key is not None:
            del self.block_of[key]

    def reset(self) -> bool:
        """Empty the cache; False when blocks are still held by sequences, as vLLM answers it."""
        if self.block_manager.held:
            return False
        self.forget_all()
        return True

    def forget_all(self) -> None:
        """No block is found any more; those that sequences still hold are freed with their last holder."""
        self.block_of.clear()
        self.key_of.clear()
        self.block_manager.forget_cached()

    def on_weights_changed(self) -> None:
        """Other weights: every state in the cache is wrong from now on."""
        self.forget_all()

    def on_memory_discarded(self) -> None:
        """Sleep gave the memory back: the states are gone."""
        self.forget_all()
