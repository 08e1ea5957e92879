"""What each model version did for its users lately: the figures that a canary is judged by."""

from __future__ import annotations

import msgspec

LAST = 200


class VersionStats(msgspec.Struct):
    """Answers of one version since the table of aliases was last changed; times in seconds, the last `LAST` of each."""

    requests: int = 0
    failures: int = 0
    ttft_s: list[float] = []
    tpot_s: list[float] = []


class Versions:
    """Stats by version."""

    def __init__(self) -> None:
        self.stats: dict[str, VersionStats] = {}

    def reset(self) -> None:
        """Forget everything: the table of aliases has changed."""
        self.stats = {}

    def ended(self, version: str, *, ok: bool, ttft_s: float | None, tpot_s: float | None) -> None:
        """A try at a version has ended; times in seconds, None where there is none to count."""
        stats = self.stats.setdefault(version, VersionStats())
        stats.requests += 1
        stats.failures += 0 if ok else 1
        if ttft_s is not None:
            stats.ttft_s = [*stats.ttft_s[1 - LAST :], ttft_s]
        if tpot_s is not None:
            stats.tpot_s = [*stats.tpot_s[1 - LAST :], tpot_s]
