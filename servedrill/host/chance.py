"""Chance that can be replayed: everything random in a run comes of one seed."""

from __future__ import annotations

import hashlib


def seed_of(run_seed: int, name: str) -> int:
    """The seed of a drill, 0 to 2**31 - 1: another one for each name, the same in every run with the same seed."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return (run_seed ^ int.from_bytes(digest, "big")) & 0x7FFFFFFF
