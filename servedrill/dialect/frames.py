"""The answers of OpenAI's two text routes as typed records: only the fields that a client looks at.

One record reads a streamed chunk and a whole answer of either route, since decoding is on the path of every token and a
field that is absent costs nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec


class Part(msgspec.Struct, gc=False):
    """A chat's ``delta`` (streamed) or ``message`` (whole)."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Any] | None = None


class Choice(msgspec.Struct, gc=False):
    """One choice of a chunk or of a whole answer."""

    index: Annotated[int, msgspec.Meta(ge=0)] = 0
    delta: Part | None = None
    message: Part | None = None
    text: str | None = None
    finish_reason: str | None = None

    @property
    def said(self) -> str | None:
        """What it says in a whole answer of either route; None where it says nothing."""
        return self.text if self.message is None else self.message.content


class CachedTokens(msgspec.Struct, gc=False):
    """Part of the usage record."""

    cached_tokens: int | None = None


class Usage(msgspec.Struct, gc=False):
    """What the stack says it computed."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: CachedTokens | None = None


class Chunk(msgspec.Struct, gc=False):
    """One event of a stream, or a whole answer."""

    choices: list[Choice] = []
    model: str | None = None
    system_fingerprint: str | None = None
    usage: Usage | None = None
    error: Any = None
    object: str | None = None


NAME_MAX, NAMES_MAX = 256, 16
"""Characters of a model's name that is taken for one, and how many names of one answer are noted."""


def begins(choice: Choice, *, says: bool, begun: set[int]) -> bool:
    """Whether a streamed choice that names its role begins an answer; ``begun`` has those that have, and is added to.

    A role beside words or an end is a habit of some (ollama/ollama#7626). Alone it begins an answer, a second time too.
    """
    first = choice.index not in begun
    begun.add(choice.index)
    return first or not (says or choice.finish_reason is not None)


UNREADABLE: Final = (msgspec.MsgspecError, ValueError, LookupError, TypeError, OverflowError, RecursionError)
"""What reading an answer raises where it is not what it should be: 10 kB of ``[[[[`` are too deep for any decoder. That
is the request's failure, and never the client's."""

decode_chunk: Final = msgspec.json.Decoder(Chunk).decode
"""Raises some of `UNREADABLE`."""


class ErrorSeen(msgspec.Struct, frozen=True):
    """What an error body or an error event said."""

    type: str | None = None
    message: str | None = None
    request_id: str | None = None
    code: int | None = None
    schema_ok: bool = False
    """Whether it was OpenAI's ``error`` object: message and type are strings, code is there (null counts)."""


def read_error(body: bytes) -> ErrorSeen:
    """The error in a body, as far as it can be read; never raises."""
    try:
        top = msgspec.json.decode(body)
    except UNREADABLE:
        return ErrorSeen()
    if not isinstance(top, dict):
        return ErrorSeen()
    error = top.get("error")
    inner = error if isinstance(error, dict) else top
    message, kind, code = inner.get("message"), inner.get("type"), inner.get("code")
    return ErrorSeen(
        type=kind if isinstance(kind, str) else None,
        message=message if isinstance(message, str) else error if isinstance(error, str) else None,
        request_id=_first_text(inner.get("request_id"), top.get("request_id")),
        code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        schema_ok=isinstance(error, dict) and isinstance(message, str) and isinstance(kind, str) and "code" in error,
    )


def _first_text(*values: object) -> str | None:
    return next((value for value in values if isinstance(value, str)), None)
