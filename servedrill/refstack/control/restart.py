"""Whether and when a process that ended is started again, and what has to have ended before."""

from __future__ import annotations

import contextlib
import os
import signal


class RestartWhenGone:
    """Starts again after a backoff, once nothing of the old process group is left to hold memory or ports."""

    policy = "restart"

    def __init__(self, *, backoff_s: float, backoff_max_s: float) -> None:
        self.backoff_s, self.backoff_max_s = backoff_s, backoff_max_s

    def delay_s(self, *, name: str, recent_exits: int) -> float | None:
        """Seconds to wait; None: never again. ``recent_exits`` counts those of the last minute, this one included."""
        return min(self.backoff_max_s, self.backoff_s * 2.0 ** (recent_exits - 1))

    def grace_s(self, *, name: str) -> float:
        """Seconds that a process which was told to end has until it is killed."""
        return 30.0

    def reap(self, group: int) -> None:
        """End what the dead leader left behind in its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)

    def gone(self, group: int) -> bool:
        """Whether the group is empty."""
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False
