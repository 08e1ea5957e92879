"""How a stack talks: what a healthy one may do otherwise than OpenAI's own API, and no client is hurt by.

A drill's history carries it, as the stack was asked before anything was broken or as its file states it. Requests are
made to fit it, and answers are held to it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec


class Dialect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way of speaking OpenAI's two text routes; the defaults are OpenAI's own, with vLLM's parameters."""

    routes: list[Literal["chat", "completions"]] = msgspec.field(default_factory=lambda: ["chat", "completions"])
    """Those that there are."""
    without: list[str] = []
    """Request parameters that it refuses, and that are left out therefore."""
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the bound of an answer's length is called."""
    n: Literal["all", "whole", "one"] = "all"
    """Which answers have as many choices as were asked for: all, only those that are not streamed, or none."""
    names: list[str] = []
    """Names that it answers under, other than the one that was asked for."""
    role: Literal["once", "never", "often"] = "once"
    """How often a streamed chat names its role, for each choice."""
    done: bool = True
    """Whether streams end with ``[DONE]``; without it the last finish_reason is the end."""
    usage: Literal["all", "whole", "none"] = "all"
    """Which answers tell how many tokens they took: all, only those that are not streamed, or none."""
    invalid: Annotated[int, msgspec.Meta(ge=100, le=599)] = 400
    """The status of a request that is wrong in itself; 200 where such a one is answered."""
    error_object: bool = True
    """Whether an error is OpenAI's ``error`` object with message, type and code."""
    error_id: Literal["header", "body", "both", "none"] = "both"
    """Where an error tells the request's id: ``x-request-id``, ``error.request_id``."""

    def several(self, *, stream: bool) -> bool:
        """Whether as many choices come as were asked for."""
        return self.n == "all" or (self.n == "whole" and not stream)

    @property
    def refusals(self) -> set[int]:
        """Statuses that say of a request that it is wrong in itself."""
        return {400, self.invalid} if 400 <= self.invalid < 500 else {400}


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """A dialect, and how it is known."""

    dialect: Dialect = Dialect()
    pinned: bool = True
    """Stated, by the stack's file or by the stack itself: whatever differs from it is wrong. What was only asked for is
    a sample of how the stack talks, and names that it used before anything was broken are its own, too."""
    notes: dict[str, str] = {}
    """Field of the dialect -> what the stack answered when it was asked, where that is no OpenAI answer."""


def as_told(dialect: dict[str, Any]) -> Dialect:
    """The dialect that a history carries, as far as this version knows it.

    Raises `msgspec.ValidationError` for a known field of a wrong type.
    """
    known = set(Dialect.__struct_fields__)
    return msgspec.convert({name: value for name, value in dialect.items() if name in known}, Dialect)
