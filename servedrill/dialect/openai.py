"""OpenAI's two text routes: paths, headers, and bodies of single questions.

The load client builds its own bytes from the same paths and bodies; see `servedrill.load.encode`.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeAlias

import msgspec

Route: TypeAlias = Literal["chat", "completions"]

PATHS: dict[Route, str] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
MODELS = "/v1/models"
HEALTH, METRICS = "/health", "/metrics"
"""Not OpenAI's: where every server of its routes is asked whether it is ready, and for its metrics."""

REQUEST_ID, RETRY_AFTER = "x-request-id", "retry-after"
SERVED_BY, SERVED_VIA = "x-served-by", "x-served-via"
"""Engine and gateway that answered, where they say so."""
IDEMPOTENCY_KEY = "idempotency-key"
DONE = b"[DONE]"
"""The data of a stream's terminal frame."""


def base(url: str) -> str:
    """What of a base URL, or of its path, comes before `PATHS`: SDKs take it with OpenAI's own ``/v1`` at its end."""
    return url.rstrip("/").removesuffix("/v1")


def bearer(key: str | None) -> dict[str, str]:
    """The header that carries a key; empty without one."""
    return {"authorization": f"Bearer {key}"} if key else {}


def question(route: Route, model: str, prompt: str) -> dict[str, Any]:
    """The least that a body has: the model, and the prompt as one user's message (chat) or as it is (completions)."""
    asked: dict[str, Any] = (
        {"messages": [{"role": "user", "content": prompt}]} if route == "chat" else {"prompt": prompt}
    )
    return {"model": model, **asked}


class Model(msgspec.Struct, frozen=True):
    """One that is served."""

    id: str


class Models(msgspec.Struct, frozen=True):
    """The answer of `MODELS`."""

    data: list[Model]


def retry_after_s(value: bytes | None) -> float | None:
    """A ``Retry-After`` header in seconds, from either of its forms (RFC 9110, 10.2.3); None without one that makes
    sense."""
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, LookupError, OverflowError, OSError):
            return None
    return max(0.0, seconds) if seconds < 1e9 else None
