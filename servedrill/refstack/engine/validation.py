"""What an engine refuses before it does any work: 400 in both stream modes, with concurrent streams untouched."""

from __future__ import annotations

from servedrill.refstack.config import EngineLimits, ModelVersion


class Refused(Exception):
    """The request cannot be served; ``status`` 400 or 404, ``code`` as OpenAI names it."""

    def __init__(self, status: int, message: str, *, code: str, param: str | None = None) -> None:
        self.status, self.message, self.code, self.param = status, message, code, param
        super().__init__(message)


class Validation:
    """Checks lengths and counts against the model and the engine's limits."""

    policy = "validation"

    def __init__(self, limits: EngineLimits) -> None:
        self.limits = limits

    def check(
        self,
        *,
        route: str,
        prompt_tokens: int,
        max_tokens: int | None,
        n: int,
        temperature: float | None,
        top_p: float,
        model: ModelVersion,
    ) -> int:
        """The number of tokens that may be generated; ``route`` is ``chat`` or ``completions``. Raises `Refused`."""
        room = model.max_model_len - prompt_tokens
        if prompt_tokens == 0:
            raise Refused(
                400, "the prompt is empty; expected at least one token", code="invalid_prompt", param="prompt"
            )
        if room <= 0:
            raise Refused(
                400,
                f"the prompt has {prompt_tokens} tokens; expected fewer than the model's {model.max_model_len}",
                code="context_length_exceeded",
                param="messages" if route == "chat" else "prompt",
            )
        if not 1 <= n <= self.limits.max_n:
            raise Refused(400, f"n is {n}; expected 1 to {self.limits.max_n}", code="invalid_n", param="n")
        if temperature is not None and not 0 <= temperature <= 2:
            raise Refused(
                400, f"temperature is {temperature}; expected 0 to 2", code="invalid_temperature", param="temperature"
            )
        if not 0 < top_p <= 1:
            raise Refused(400, f"top_p is {top_p}; expected above 0, at most 1", code="invalid_top_p", param="top_p")
        if max_tokens is None:
            return min(room, self.limits.default_max_tokens)
        if max_tokens < 1 or max_tokens > self.limits.max_tokens_cap:
            raise Refused(
                400,
                f"max_tokens is {max_tokens}; expected 1 to {self.limits.max_tokens_cap}",
                code="invalid_max_tokens",
                param="max_tokens",
            )
        if max_tokens > room:
            raise Refused(
                400,
                f"max_tokens is {max_tokens}, the prompt has {prompt_tokens}; "
                f"expected at most {model.max_model_len} together",
                code="context_length_exceeded",
                param="max_tokens",
            )
        return max_tokens
