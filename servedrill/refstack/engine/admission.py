"""How many requests an engine lets wait: a full queue refuses with 503, so that the one who asks can go elsewhere."""

from __future__ import annotations

from servedrill.refstack.config import EngineLimits


class QueueLimit:
    """At most ``max_num_queued_reqs`` sequences wait behind the ``max_num_seqs`` that run.

    vLLM's ``--max-num-queued-reqs`` counts both together.
    """

    policy = "engine_admission"

    def __init__(self, limits: EngineLimits) -> None:
        self.limits = limits

    def admits(self, *, open_sequences: int, new_sequences: int) -> bool:
        """``open_sequences`` are accepted and not yet finished."""
        return open_sequences + new_sequences <= self.limits.max_num_seqs + self.limits.max_num_queued_reqs

    def retry_after_s(self) -> int:
        """What a refusal asks the client to wait."""
        return 1
