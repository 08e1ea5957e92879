"""The body of every error a gateway answers: OpenAI's schema, with the request's id."""

from __future__ import annotations

from typing import Any

from servedrill.refstack.wire import error_object


class OpenAIErrors:
    """One schema for every status, its own refusals and what engines said alike."""

    policy = "error_body"

    def body(self, status: int, message: str, *, code: str, request_id: str) -> dict[str, Any]:
        """``{"error": {message, type, code, param, request_id}}``."""
        return error_object(status, message, code=code, request_id=request_id)

    def retry_after_s(self, status: int, seconds: float) -> int | None:
        """The Retry-After header of a refusal, whole seconds; None: no header."""
        return max(1, round(seconds)) if status in (429, 502, 503, 504) else None
