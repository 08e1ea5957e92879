"""What a vendor's metrics page says, in our words: one word for each thing measured; METRICS.md shows the table."""

from __future__ import annotations

from dataclasses import dataclass

UNITS = {
    "running": "requests",
    "waiting": "requests",
    "kv_usage": "ratio",
    "generated_tokens": "tokens",
    "prompt_tokens": "tokens",
    "preemptions": "count",
    "prefix_hits": "tokens",
    "rejections": "requests",
    "ended": "requests",
    "memory_bytes": "bytes",
    "in_flight": "requests",
    "queue": "requests",
    "retries": "count",
    "resumes": "count",
    "breaker": "state",
    "healthy": "bool",
    "upstream_in_flight": "requests",
}
"""Every word there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A word of ours in one vendor's language; ``sources`` are sample names as they stand on /metrics, the first that
    is there counts: older names come later.

    Samples that differ only in labels are added up (or the `largest` is taken); ``label`` keeps those apart that differ
    in it, as ``word/value``.
    """

    word: str
    sources: tuple[str, ...]
    label: str = ""
    largest: bool = False
    """The largest of several samples counts, instead of their sum: for ratios."""
    where: tuple[str, str] = ("", "")
    """A label and its value: only samples that have it are meant."""
    lazy: bool = False
    """Comes to the page with its first event only, so that its absence means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """Whose pages these are."""

    name: str
    role: str
    mark: str
    """What names on its page begin with."""
    spelt: tuple[str, ...] = ()
    """What they begin with where somebody else passes the page on: Ray and KServe put their own name before it."""
    terms: tuple[Term, ...]
    published: str = ""
    """The setting that publishes the page; empty where it is always there."""
    version_path: str = ""
    """Where it tells its version, as JSON."""
    version_key: str = "version"
    versions: tuple[str, str] = ("", "")
    """The lowest and highest version (major.minor) whose names were checked, both included; empty: it tells none."""

    def knows(self, version: str) -> bool:
        """Whether the names of that version were checked; a version that cannot be read is not known."""
        low, high = self.versions
        number = _number(version)
        return bool(number) and _number(low) <= number <= _number(high)


def _number(version: str) -> tuple[int, ...]:
    parts = version.lstrip("v").split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()
