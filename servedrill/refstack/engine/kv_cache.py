"""The paged KV cache: really allocated memory in fixed blocks, and who holds which block.

`KVPool` is the memory: one anonymous mapping whose pages are all touched, so that a memory limit counts them.
`BlockManager` keeps the books: reference counts, a free list, and blocks that only the prefix cache could still use.
"""

from __future__ import annotations

import mmap
from collections import OrderedDict, deque
from collections.abc import Callable


class KVPool:
    """``blocks`` blocks of ``block_bytes``; the state of position p sits in its block's word ``p % block_tokens``."""

    def __init__(self, *, blocks: int, block_tokens: int, block_bytes: int) -> None:
        self.blocks, self.block_tokens, self.block_bytes = blocks, block_tokens, block_bytes
        self._stride = block_bytes // 8
        self._memory: mmap.mmap | None = None
        self._words: memoryview | None = None
        self.allocate()

    def allocate(self) -> None:
        """Take the memory and touch every page; nothing to do when it is there."""
        if self._memory is not None:
            return
        self._memory = mmap.mmap(-1, self.blocks * self.block_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        view = memoryview(self._memory)
        for page in range(0, len(view), mmap.PAGESIZE):
            view[page] = 0xA5
        self._words = view.cast("Q")

    def discard(self) -> None:
        """Give the memory back; what it held is gone."""
        if self._memory is None:
            return
        assert self._words is not None
        self._words.release()
        self._words = None
        self._memory.close()
        self._memory = None

    @property
    def bytes_held(self) -> int:
        """Memory of the pool, in bytes."""
        return self.blocks * self.block_bytes if self._memory is not None else 0

    def write(self, block: int, position: int, state: int) -> None:
        """Put the state of a position into its block."""
        assert self._words is not None
        self._words[block * self._stride + position % self.block_tokens] = state

    def read(self, block: int, position: int) -> int:
        """The state of a position that `write` put there."""
        assert self._words is not None
        return int(self._words[block * self._stride + position % self.block_tokens])


class BlockManager:
    """Who holds which block.

    A block is free, held (reference count > 0), or cached: held by no sequence, but remembered by the prefix cache and
    reused when free ones run out. ``on_evict`` tells the prefix cache that one of its blocks is being reused.
    """

    policy = "block_manager"

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.references = [0] * blocks
        self.free: deque[int] = deque(range(blocks))
        self.cached: OrderedDict[int, None] = OrderedDict()
        self.on_evict: Callable[[int], None] = lambda block: None

    @property
    def available(self) -> int:
        """Blocks that can be had right now."""
        return len(self.free) + len(self.cached)

    @property
    def held(self) -> int:
        """Blocks that some sequence holds."""
        return self.blocks - self.available

    def allocate(self) -> int | None:
        """A block with one reference, or None when every block is held."""
        if self.free:
            block = self.free.popleft()
        elif self.cached:
            block, _ = self.cached.popitem(last=False)
            self.on_evict(block)
        else:
            return None
        self.references[block] = 1
        return block

    def retain(self, block: int) -> None:
        """One more holder of a block that the prefix cache found."""
        self.cached.pop(block, None)
        self.references[block] += 1

    def release(self, block: int, *, keep_cached: bool) -> None:
        """One holder less; the last one frees it, or leaves it to the prefix cache."""
        self.references[block] -= 1
        if self.references[block] == 0:
            if keep_cached:
                self.cached[block] = None
            else:
                self.free.append(block)

    def forget_cached(self) -> None:
        """The prefix cache was emptied: blocks that no sequence holds are free again."""
        self.free.extend(self.cached)
        self.cached.clear()
