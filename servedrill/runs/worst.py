"""The requests that are worth telling one by one: those that findings name, some of each failure, the slowest."""

from __future__ import annotations

import heapq
import math
from itertools import count

from servedrill.history.events import RequestRecord
from servedrill.stats.requests import duration_s, max_stall_s, ttft_s

NAMED_MAX = 12
EACH_FAILURE_MAX = 3
FAILURES_MAX = 9
SLOWEST_MAX = 4


class Longest:
    """The few records with the largest of some figure."""

    def __init__(self, limit: int) -> None:
        self._limit, self._tie = limit, count()
        self._heap: list[tuple[float, int, RequestRecord]] = []

    def add(self, figure: float, record: RequestRecord) -> None:
        """Take a record if its figure is among the largest so far; of equal ones the first stays."""
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, (figure, next(self._tie), record))
        elif figure > self._heap[0][0]:
            heapq.heapreplace(self._heap, (figure, next(self._tie), record))

    def all(self) -> list[RequestRecord]:
        """The largest first."""
        return [record for _, _, record in sorted(self._heap, reverse=True)]


class Worst:
    """Collected in one pass; `all` says each once, with why it is here."""

    def __init__(self, named: frozenset[str]) -> None:
        self._wanted = named
        self._named: list[RequestRecord] = []
        self._failed: dict[str, Longest] = {}
        self._late, self._stalled = Longest(SLOWEST_MAX), Longest(SLOWEST_MAX)

    def add(self, r: RequestRecord) -> None:
        """Look at one record, in the order of the file."""
        if (
            self._wanted
            and len(self._named) < NAMED_MAX
            and (r.id in self._wanted or any(attempt.request_id in self._wanted for attempt in r.attempts))
        ):
            self._named.append(r)
        if r.cancelled_ns is not None:
            return
        if r.failure is not None:
            if r.failure not in self._failed and len(self._failed) >= 50:
                return
            self._failed.setdefault(r.failure, Longest(EACH_FAILURE_MAX)).add(duration_s(r), r)
            return
        ttft = ttft_s(r)
        if math.isfinite(ttft) and r.stream:
            self._late.add(ttft, r)
            self._stalled.add(max_stall_s(r), r)

    def all(self) -> list[tuple[RequestRecord, str]]:
        """Each record once, and why it is told: named ones first, then failures of every kind, then the slowest."""
        found: dict[str, tuple[RequestRecord, str]] = {}
        for record in sorted(self._named, key=lambda record: (record.failure is None, record.t_int_ns)):
            found.setdefault(record.id, (record, "named by a finding"))
        rounds = [longest.all() for longest in self._failed.values()]
        failed = [each[place] for place in range(EACH_FAILURE_MAX) for each in rounds if place < len(each)]
        for record in failed[:FAILURES_MAX]:
            found.setdefault(record.id, (record, "failed"))
        for record in self._late.all():
            found.setdefault(record.id, (record, "late first token"))
        for record in self._stalled.all():
            found.setdefault(record.id, (record, "long stall"))
        return list(found.values())
