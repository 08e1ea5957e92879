"""What a toxic really did, counted: proof that a fault took effect, not only that a call to install it returned.

The counters outlive the toxic, because a drill reads them after it healed the fault: the last 1,000 removed toxics keep
theirs.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass

KEPT_MAX = 1000


@dataclass(slots=True)
class Evidence:
    """Counters of one toxic: what each counts is in docs/toxics.md.

    `links_drawn` are the links that its toxicity chose, `links_hit` those where it did something.
    """

    links_drawn: int = 0
    links_hit: int = 0
    bytes_held: int = 0
    bytes_dropped: int = 0
    chunks_delayed: int = 0
    chunks_cut: int = 0
    closes_delayed: int = 0
    connections_closed: int = 0
    connections_reset: int = 0
    answers_made: int = 0
    heads_delayed: int = 0
    events_delayed: int = 0
    events_cut: int = 0
    events_dropped: int = 0
    events_repeated: int = 0
    events_changed: int = 0
    events_added: int = 0
    streams_cut: int = 0
    streams_stalled: int = 0


class Archive:
    """Evidence of removed toxics by proxy and toxic name; the latest of a name wins, the oldest goes first."""

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self._kept: OrderedDict[tuple[str, str], dict[str, object]] = OrderedDict()
        self._kept_max = kept_max

    def keep(self, proxy: str, toxic: str, body: dict[str, object]) -> None:
        """Keep the evidence of a toxic that was removed, in place of an earlier one of that name."""
        self._kept.pop((proxy, toxic), None)
        self._kept[proxy, toxic] = body
        if len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)

    def find(self, proxy: str, toxic: str) -> dict[str, object] | None:
        """The evidence of a removed toxic; None where there is none, or none any more."""
        return self._kept.get((proxy, toxic))


def evidence_body(
    evidence: Evidence, *, name: str, type_name: str, active: bool, removed_by: str | None
) -> dict[str, object]:
    """The answer of `GET .../evidence`."""
    return {"name": name, "type": type_name, "active": active, "removed_by": removed_by, **asdict(evidence)}
