"""Idempotency keys: a request that is sent again with the same key gets the first one's answer and runs once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stored:
    """A whole answer."""

    status: int
    content_type: str
    body: bytes


class IdempotencyKeys:
    """Remembers the last 1,000 keys; an answer that failed is forgotten, so that it can be tried again."""

    policy = "idempotency"

    def __init__(self) -> None:
        self.answers: OrderedDict[str, asyncio.Future[Stored | None]] = OrderedDict()

    def find(self, key: str) -> asyncio.Future[Stored | None] | None:
        """The first request's answer, perhaps still to come; None when this is the first."""
        return self.answers.get(key)

    def begin(self, key: str) -> None:
        """The first request with this key is under way; its answer comes with `end`."""
        self.answers[key] = asyncio.get_running_loop().create_future()
        while len(self.answers) > 1000:
            self.answers.popitem(last=False)

    def end(self, key: str, stored: Stored | None) -> None:
        """``stored`` None: failed."""
        answer = self.answers.get(key)
        if answer is not None and not answer.done():
            answer.set_result(stored)
        if stored is None:
            self.answers.pop(key, None)
