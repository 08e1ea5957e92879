"""One request that the API server has passed to the core: what has come for it, and waking who writes it out."""

from __future__ import annotations

import asyncio
import time

from servedrill.refstack.engine.messages import Token


class OpenRequest:
    """Collects tokens between two wake-ups of its handler; a failed one wakes with ``error`` set."""

    __slots__ = (
        "_wake",
        "adapter",
        "began",
        "cached",
        "error",
        "finishes",
        "first",
        "generated",
        "id",
        "last",
        "n",
        "prompt_tokens",
        "tokens",
    )

    def __init__(self, request_id: str, *, n: int, prompt_tokens: int, adapter: str) -> None:
        self.id, self.n, self.prompt_tokens, self.adapter = request_id, n, prompt_tokens, adapter
        self.tokens: list[Token] = []
        self.finishes: list[str | None] = [None] * n
        self.generated = 0
        self.cached = 0
        self.error: tuple[int, str, str] | None = None
        self.began = time.monotonic()
        self.first: float | None = None
        self.last: list[float | None] = [None] * n
        """When each choice got its latest token."""
        self._wake = asyncio.Event()

    def put(self, token: Token) -> None:
        """One more token of a choice."""
        self.tokens.append(token)
        self.generated += token.tokens
        self.cached = max(self.cached, token.cached)
        if token.finish:
            self.finishes[token.choice] = token.finish
        self._wake.set()

    def fail(self, status: int, message: str, code: str) -> None:
        """End it with an error: status, message, code."""
        self.error = (status, message, code)
        self._wake.set()

    @property
    def finished(self) -> bool:
        """Whether every choice has ended."""
        return None not in self.finishes

    async def take(self) -> list[Token]:
        """What has come since the last call; waits for something."""
        await self._wake.wait()
        self._wake.clear()
        taken, self.tokens = self.tokens, []
        return taken

    def usage(self) -> dict[str, object]:
        """OpenAI's ``usage`` object; counts are tokens."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.generated,
            "total_tokens": self.prompt_tokens + self.generated,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }
