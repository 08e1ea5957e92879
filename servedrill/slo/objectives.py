"""Objectives for each request class, and whether one request met them.

Chat: TTFT within 800 ms for 95% of requests. Code 50 ms a token, summaries 100 ms a token (SLOs-Serve, arXiv
2504.08784).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from servedrill.history.events import RequestRecord
from servedrill.history.history import History
from servedrill.history.requests import Requests
from servedrill.stats.figures import stalls_s, tpots_s, ttfts_s, wholes
from servedrill.stats.requests import max_stall_s, tpot_s, ttft_s, whole

TARGET = 0.95
"""Share of requests that have to be good where nothing else is said."""


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """What one class was promised; None where nothing was."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    max_stall_s: float | None = None
    target: float = TARGET
    """Share of requests that have to be good."""

    def good(self, request: RequestRecord, *, counts_known: bool = True) -> bool:
        """A complete answer that met every objective; ``counts_known`` as of `tpot_s`."""
        if not whole(request):
            return False
        tpot = tpot_s(request, counts_known=counts_known)
        return (
            (self.ttft_s is None or not request.stream or ttft_s(request) <= self.ttft_s)
            and (self.tpot_s is None or tpot is None or tpot <= self.tpot_s)
            and (self.max_stall_s is None or max_stall_s(request) <= self.max_stall_s)
        )

    def goods(self, requests: Requests) -> Iterator[bool]:
        """`good` of each."""
        kept: list[Iterator[bool]] = [wholes(requests)]
        if (ttft_s_max := self.ttft_s) is not None:
            told = zip(requests.column("stream"), ttfts_s(requests), strict=True)
            kept.append(not stream or ttft_s <= ttft_s_max for stream, ttft_s in told)
        if (tpot_s_max := self.tpot_s) is not None:
            kept.append(tpot_s is None or tpot_s <= tpot_s_max for tpot_s in tpots_s(requests))
        if (stall_s_max := self.max_stall_s) is not None:
            kept.append(stall_s <= stall_s_max for stall_s in stalls_s(requests))
        return map(all, zip(*kept, strict=True)) if len(kept) > 1 else kept[0]


def good_requests(history: History, cls: str, objective: Objective, *, trusted: bool = False) -> Requests:
    """The good ones of a class, not the drill's own cancels. They are looked for once: several ask for the same.

    ``trusted``: with the server's counts of tokens taken at its word.
    """
    trusted = trusted and not history.counts_known
    asked = ("good", cls, objective.ttft_s, objective.tpot_s, objective.max_stall_s, trusted)
    if asked not in history.kept:
        requests = history.requests(classes=[cls])
        requests = requests.trusted if trusted else requests
        history.kept[asked] = requests.keep(objective.goods(requests))
    found: Requests = history.kept[asked]
    return found


DEFAULT = {
    "chat": Objective(ttft_s=0.8),
    "code": Objective(tpot_s=0.05),
    "summary": Objective(tpot_s=0.1),
}
"""Classes that are not named here only have to be complete."""


def family(cls: str) -> str:
    """``chat`` of ``chat-eu``: a class without an objective of its own has that of its family."""
    return cls.partition("-")[0]


def objective_of(cls: str, objectives: dict[str, Objective] | None = None) -> Objective:
    """The objective of a class; ``chat-eu`` has that of ``chat``, and every class that of ``""`` where there is one."""
    table = DEFAULT if objectives is None else objectives
    return table.get(cls) or table.get(family(cls)) or table.get("") or Objective()
