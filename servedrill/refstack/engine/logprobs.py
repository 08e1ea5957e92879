"""Log-probabilities in OpenAI's shapes, put into frames that say ``null`` where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec

_NONE = b'"logprobs":null'


def in_frame(frame: bytes, tokens: Sequence[tuple[str, float]], *, chat: bool, before: int) -> bytes:
    """One delta with the tokens that it has the text of; ``before``: characters of text in earlier ones."""
    return frame.replace(_NONE, b'"logprobs":' + msgspec.json.encode(_shape(tokens, chat=chat, before=before)), 1)


def in_whole(body: bytes, tokens: Sequence[Sequence[tuple[str, float]]], *, chat: bool) -> bytes:
    """An answer that is not streamed; ``tokens`` of each choice."""
    answer = msgspec.json.decode(body)
    for choice in answer["choices"]:
        choice["logprobs"] = _shape(tokens[choice["index"]], chat=chat, before=0)
    return msgspec.json.encode(answer)


def _shape(tokens: Sequence[tuple[str, float]], *, chat: bool, before: int) -> dict[str, Any]:
    if chat:
        return {
            "content": [
                {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": []}
                for token, logprob in tokens
            ]
        }
    texts = [token for token, _ in tokens]
    return {
        "tokens": texts,
        "token_logprobs": [logprob for _, logprob in tokens],
        "top_logprobs": [{token: logprob} for token, logprob in tokens],
        "text_offset": list(accumulate(map(len, texts[:-1]), initial=before)) if texts else [],
    }
