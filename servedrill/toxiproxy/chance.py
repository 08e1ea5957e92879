"""Chance that replays: every draw is a pure function of the seed and of names, never of the order of events.

Whether connection 17 of a proxy draws a toxic depends on the seed, the proxy's name, the toxic's name and the number 17
alone, so two runs with one seed agree even when their connections raced each other differently.
"""

from __future__ import annotations

import hashlib
from random import Random


def _digest(seed: int, parts: tuple[object, ...]) -> int:
    text = "\x1f".join([str(seed), *map(str, parts)])
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def draw(seed: int, *parts: object) -> float:
    """A number in [0, 1)."""
    return (_digest(seed, parts) >> 11) / (1 << 53)


def stream(seed: int, *parts: object) -> Random:
    """A generator of its own for what needs many numbers, such as jitter."""
    return Random(_digest(seed, (*parts, "stream")))
