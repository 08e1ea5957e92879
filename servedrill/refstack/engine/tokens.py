"""The model: a pure function from version and tokens so far to the next token, in place of a transformer.

    s[0]   = hash64("servedrill")
    s[j+1] = mix(s[j] ^ hash64(token j) ^ hash64(version))
    token  = VOCABULARY[mix(s ^ noise) mod 4096]
    p      = exp(-0.25 u^3) of the likeliest token, u = mix(s ^ CERTAINTY) / 2^64; the others share the rest equally

A state s stands for the keys and values of one position. It lives in the KV cache's memory and is read back from there
for every token, so a block that was freed too early, kept over a change of weights or given to two sequences
changes what users read, as it does on a GPU. Anyone who knows a version can check any stream byte for byte.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache

_MASK = (1 << 64) - 1
_EOS = 0xE05E05E05E05E05E
_EOS_ONE_IN = 128
_CERTAINTY = 0xCE27A1217CE27A12
_ONSETS = "bdfgklmnprstvzjw"
_VOWELS = "aeio"
VOCABULARY = tuple(f"{a}{v}{b}{w}" for a in _ONSETS for v in _VOWELS for b in _ONSETS for w in _VOWELS)
GOLDEN_TOKENS = 4


def mix(x: int) -> int:
    """splitmix64's finaliser (Steele, Lea, Flood, OOPSLA 2014)."""
    x &= _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


@lru_cache(maxsize=32768)
def hash64(text: str) -> int:
    """The 8-byte BLAKE2b digest, big-endian."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


START = hash64("servedrill")


def fold(state: int, token: str, version_hash: int) -> int:
    """The state after one more token."""
    return mix(state ^ hash64(token) ^ version_hash)


def draw(state: int, noise: int) -> str:
    """The next token."""
    return VOCABULARY[mix(state ^ noise) % 4096]


def log_probability(state: int, token: str, *, likeliest: str) -> float:
    """How likely the model finds ``token`` here, in nats; the distribution differs from version to version."""
    best = -0.25 * (mix(state ^ _CERTAINTY) / 2**64) ** 3
    return best if token == likeliest else math.log(max(-math.expm1(best), 1e-12) / (len(VOCABULARY) - 1))


def ends(state: int) -> bool:
    """Whether the model ends its answer here."""
    return mix(state ^ _EOS) % _EOS_ONE_IN == 0


def tokenize(text: str) -> list[str]:
    """A token is a word."""
    return text.split()


def golden_answer(prompt: list[str], *, version: str, accuracy: float) -> list[str] | None:
    """The four words that this version knows for a golden question, right or wrong; None for any other prompt."""
    words = [word for word in prompt if not word.startswith("<|")]
    if words[:2] != ["golden", "question"] or len(words) != 4 or not words[2].isdigit():
        return None
    question = int(words[2])
    knows = mix(hash64(version) ^ question) / 2**64 < accuracy
    base = hash64(f"golden/{question}") if knows else hash64(f"{version} does not know {question}")
    return [VOCABULARY[mix(base + i) % 4096] for i in range(GOLDEN_TOKENS)]
