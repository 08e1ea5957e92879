"""What the core does when a client is gone: take every sequence of the request out and release its blocks, at once."""

from __future__ import annotations

from servedrill.refstack.engine.scheduler import ContinuousBatching


class ReleaseAtOnce:
    """Aborts between two steps: queued, in prefill or decoding, and whether anything else is running or not."""

    policy = "core_abort"

    def __init__(self) -> None:
        self.aborted = 0

    def on_abort(self, scheduler: ContinuousBatching, request_ids: list[str]) -> None:
        """The clients of these requests are gone."""
        for request_id in request_ids:
            for sequence in scheduler.of_request(request_id):
                scheduler.remove(sequence)
                self.aborted += 1

    def tick(self, scheduler: ContinuousBatching) -> None:
        """Called before every step, and a few times a second while idle."""
