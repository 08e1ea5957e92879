"""One sequence: a prompt, what was generated for it, and the blocks that hold its states."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from servedrill.refstack.engine.messages import Submit


@dataclass(slots=True, eq=False)
class Sequence:
    """One choice of one request on its way through the core.

    ``computed`` counts the positions whose state is in the cache. Preemption sets it back to 0 and frees the blocks:
    prompt and generated tokens are computed again.
    """

    request: Submit
    choice: int
    prompt: list[str]
    keys: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    """Prompt and generated tokens."""
    blocks: list[int] = field(default_factory=list)
    computed: int = 0
    cached: int = 0
    script: list[str] | None = None
    """The answer to a golden question."""
    text: str = ""
    text_sent: int = 0
    finish: str | None = None
    preemptions: int = 0
    arrived: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.tokens = list(self.prompt)

    @property
    def generated(self) -> int:
        """Tokens of the answer so far, those before a continuation included."""
        return len(self.tokens) - len(self.prompt) + self.request.continues

    @property
    def decoding(self) -> bool:
        """Whether only its newest token is missing in the cache."""
        return self.computed == len(self.tokens) - 1 and len(self.tokens) > len(self.prompt)

    @property
    def beginning(self) -> bool:
        """Nothing of it was computed yet, but for a prefix that the cache had."""
        return self.computed == self.cached and len(self.tokens) == len(self.prompt)

    @property
    def missing(self) -> int:
        """Positions still to be computed before the next token."""
        return len(self.tokens) - self.computed
