"""What a stack says of itself, before it is written down: without the keys that it was sent, and of bounded length.

Some servers repeat the key in an error, a header or a model's name. It is replaced here, where a record is made, before
anything is cut: half a key would be found by nobody.
"""

from __future__ import annotations

from collections.abc import Iterable

MASK = "•••"
_SHORTEST = 4
"""Shorter ones hide nothing, and stand in ordinary words."""
NAME_MAX, TEXT_MAX = 256, 4096


class Heard:
    """Takes ``secrets`` out of whatever is written down."""

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        longest_first = sorted({s for s in secrets if s and len(s) >= _SHORTEST}, key=len, reverse=True)
        self._secrets = longest_first

    def content(self, text: str) -> str:
        """A text whose every token is judged: of any length."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def name(self, text: str) -> str:
        """A model, an id, a header: `NAME_MAX` characters at most."""
        return _cut(self.content(text), NAME_MAX)

    def text(self, text: str) -> str:
        """A message: `TEXT_MAX` characters at most."""
        return _cut(self.content(text), TEXT_MAX)

    def names(self, texts: Iterable[str]) -> list[str]:
        """Each as `name`."""
        return [self.name(text) for text in texts]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
