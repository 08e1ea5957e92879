"""The events of an upstream's stream, as far as a gateway has to understand them."""

from __future__ import annotations

from typing import Any

import msgspec


class Delta(msgspec.Struct):
    """What a chat chunk adds."""

    role: str | None = None
    content: str | None = None


class Choice(msgspec.Struct):
    """One choice's part of a chunk, of either route."""

    index: int = 0
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None

    @property
    def content(self) -> str:
        """The text that the chunk adds; empty where it adds none."""
        return (self.delta.content if self.delta is not None else self.text) or ""

    @property
    def role(self) -> str | None:
        """The role that a preamble states, else None."""
        return self.delta.role if self.delta is not None else None


class Error(msgspec.Struct):
    """OpenAI's error object, as far as it is read."""

    message: str = ""
    code: str | int | None = None


class Chunk(msgspec.Struct):
    """One event; ``usage`` is left as it is."""

    id: str = ""
    choices: list[Choice] = []
    usage: dict[str, Any] | None = None
    error: Error | None = None


_decoder = msgspec.json.Decoder(Chunk)


def parse(data: bytes) -> Chunk:
    """Raises `msgspec.DecodeError` on anything that is no event of a completion."""
    return _decoder.decode(data)
