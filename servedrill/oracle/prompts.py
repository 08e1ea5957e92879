"""Prompts in a short form that expands to the same words everywhere.

``w:7.40+1234.60`` is a prompt of 100 words: a prefix of 40 words drawn with seed 7, shared by every prompt that names
it, then 60 words drawn with seed 1234. ``golden:17`` is question 17 of the golden set. Anything else is the prompt
itself. A history keeps the short form, so a million requests stay small and can still be checked word by word.
"""

from __future__ import annotations

import re
from functools import lru_cache

from servedrill.oracle.tokens import VOCABULARY, mix

_WORDS = re.compile(r"w:(\d+)\.(\d+)\+(\d+)\.(\d+)")
_GOLDEN = re.compile(r"golden:(\d+)")


def words_prompt(*, seed: int, words: int, prefix_seed: int = 0, prefix_words: int = 0) -> str:
    """The short form of a prompt of ``prefix_words + words`` words."""
    return f"w:{prefix_seed}.{prefix_words}+{seed}.{words}"


def golden_prompt(question: int) -> str:
    """The short form of question ``question`` of the golden set, whose right answer does not depend on the model
    version."""
    return f"golden:{question}"


@lru_cache(maxsize=4096)
def expand(prompt: str) -> str:
    """The text that goes over the wire for a prompt in its short form."""
    if match := _WORDS.fullmatch(prompt):
        prefix_seed, prefix_words, seed, words = map(int, match.groups())
        return " ".join([*_draw(prefix_seed, prefix_words), *_draw(seed, words)])
    if match := _GOLDEN.fullmatch(prompt):
        return f"golden question {match[1]} :"
    return prompt


def _draw(seed: int, count: int) -> list[str]:
    base = mix(seed ^ 0x5EED)
    return [VOCABULARY[mix(base + i) % len(VOCABULARY)] for i in range(count)]
