"""How a stream that broke after its first token goes on elsewhere: from its own text, token-exact, one preamble."""

from __future__ import annotations

from typing import Any


class TokenExactResume:
    """Asks for the continuation of the text that the client already has.

    Possible for one choice without stop strings. Asks for what is left of the output limit, so the whole is as long as
    without the break.
    """

    policy = "stream_resume"

    def continuation(self, body: dict[str, Any], *, route: str, text: str, tokens: int) -> dict[str, Any] | None:
        """The body that continues after ``text`` (``tokens`` content deltas), or None where it cannot be done."""
        if body.get("n", 1) != 1 or body.get("stop"):
            return None
        new = dict(body)
        for limit in ("max_tokens", "max_completion_tokens"):
            if isinstance(new.get(limit), int):
                new[limit] -= tokens
                if new[limit] <= 0:
                    return None
        if route == "chat":
            new["messages"] = [*body["messages"], {"role": "assistant", "content": text}]
            new["continue_final_message"], new["add_generation_prompt"] = True, False
        else:
            new["prompt"] = body["prompt"] + text
            new["continues"] = tokens
        return new

    def forwards(self, *, role: str | None, has_content: bool, resumed: bool) -> bool:
        """Whether a chunk goes to the client; ``role`` marks a preamble, which a resumed stream must not repeat."""
        return has_content or not (resumed and role is not None)

    def max_resumes(self) -> int:
        """How often one stream may go on elsewhere before it ends in an error event."""
        return 2
