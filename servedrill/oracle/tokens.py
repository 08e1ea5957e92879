"""The tokens that the embedded engine has to give: a pure function of version, prompt, sampling and position.

This is the checkers' own statement of the formula. The embedded stack states it a second time (it imports nothing
from here, as a stack would not), and a test holds the two against each other: an oracle that shared its code with what
it judges would agree with any bug in it.

It is autoregressive, as a language model is, so that an answer continued elsewhere from its own text has to go on
with the same tokens:

    s[0]   = hash64("servedrill")
    s[j+1] = mix(s[j] ^ hash64(token j) ^ hash64(version))      over prompt tokens, then generated ones
    token  = VOCABULARY[mix(s ^ noise) mod 4096]                noise 0 when greedy, else of seed, choice and position
    the model ends by itself where mix(s ^ EOS) mod 128 = 0, unless ignore_eos
    a golden question is answered with four words that depend on the question alone
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

_MASK = (1 << 64) - 1
_EOS = 0xE05E05E05E05E05E
EOS_ONE_IN = 128
GOLDEN_ANSWER_TOKENS = 4

_ONSETS = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "j", "w"]
_VOWELS = ["a", "e", "i", "o"]
VOCABULARY = tuple(a + v + b + w for a in _ONSETS for v in _VOWELS for b in _ONSETS for w in _VOWELS)
"""4,096 words of four letters; a token is one word with a space before it."""


def mix(x: int) -> int:
    """splitmix64's finaliser: 64 bits in, 64 well-mixed bits out (Steele, Lea, Flood, OOPSLA 2014)."""
    x &= _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


@lru_cache(maxsize=16384)
def hash64(text: str) -> int:
    """The first 64 bits of BLAKE2b."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def prompt_tokens(text: str, *, chat: bool) -> list[str]:
    """The prompt as the engine's tokenizer cuts it: words; a chat adds one token before and one after the message."""
    words = text.split()
    return ["<|user|>", *words, "<|assistant|>"] if chat else words


@lru_cache(maxsize=16384)
def _prompt_state(version: str, prompt: str, chat: bool) -> tuple[int, int]:
    state, version_hash = hash64("servedrill"), hash64(version)
    tokens = prompt_tokens(prompt, chat=chat)
    for token in tokens:
        state = mix(state ^ hash64(token) ^ version_hash)
    return state, len(tokens)


@lru_cache(maxsize=16384)
def expected_tokens(
    *,
    version: str,
    prompt: str,
    chat: bool,
    max_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    choice: int = 0,
    ignore_eos: bool = False,
) -> tuple[tuple[str, ...], str]:
    """The words of one choice and its finish reason (``stop`` or ``length``), without any ``stop`` string."""
    state, position = _prompt_state(version, prompt, chat)
    version_hash = hash64(version)
    words: list[str] = []
    while len(words) < max_tokens:
        if not ignore_eos and mix(state ^ _EOS) % EOS_ONE_IN == 0 and words:
            return tuple(words), "stop"
        noise = 0 if temperature == 0 else hash64(f"{temperature:g}/{seed}/{choice}/{position}")
        word = VOCABULARY[mix(state ^ noise) % len(VOCABULARY)]
        words.append(word)
        state = mix(state ^ hash64(word) ^ version_hash)
        position += 1
    return tuple(words), "length"


def golden_answer(question: int) -> str:
    """The right answer to a golden question, whatever the version, as the stream's deltas concatenate."""
    base = hash64(f"golden/{question}")
    return "".join(" " + VOCABULARY[mix(base + i) % len(VOCABULARY)] for i in range(GOLDEN_ANSWER_TOKENS))
