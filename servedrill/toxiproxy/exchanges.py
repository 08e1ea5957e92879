"""The exchanges that passed a tapped proxy: a bounded log of changes that a reader follows with a counter.

An exchange is listed when its request head was seen, again when its response head came, and again when it ended, so a
request that vanished in a black hole is visible too. The times are `CLOCK_MONOTONIC` nanoseconds, comparable with those
of the load workers.
"""

from __future__ import annotations

import msgspec

KEPT_MAX = 50_000
PAGE_MAX = 5_000
CHANGES_EACH = 3


class Exchange(msgspec.Struct):
    """One request and its answer, as far as it has come.

    `t_request_ns` and `t_response_ns` are when the heads were seen, None for what has not come. `end` is `complete`,
    `toxic` or who ended it how (`client_closed`, `upstream_reset` ...), None while the exchange is open.
    """

    seq: int
    """Counts the exchanges of this proxy from 1."""
    connection: int
    method: str
    path: str
    request_id: str | None
    attempt: str | None
    t_request_ns: int
    t_response_ns: int | None = None
    t_end_ns: int | None = None
    status: int | None = None
    retry_after_s: float | None = None
    bytes_down: int = 0
    end: str | None = None


class Page(msgspec.Struct):
    """The changes after a point: read on from `next` while `more` is true. `lost` counts those that were dropped."""

    next: int
    more: bool
    lost: int
    exchanges: list[Exchange]


class ExchangeLog:
    """Changes of the last 50,000 exchanges of one proxy, in the order in which they happened."""

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self._kept_max = kept_max * CHANGES_EACH
        self._first = 1
        self._changes: list[Exchange | None] = []
        self._last_of: dict[int, int] = {}
        self._seq = 0

    def new_seq(self) -> int:
        """The number of the next exchange."""
        self._seq += 1
        return self._seq

    def changed(self, exchange: Exchange) -> None:
        """List an exchange, or list it again because it went on."""
        now = self._first + len(self._changes)
        earlier = self._last_of.get(exchange.seq)
        if earlier is not None and earlier >= self._first:
            self._changes[earlier - self._first] = None
        self._changes.append(exchange)
        if exchange.end is None:
            self._last_of[exchange.seq] = now
        else:
            self._last_of.pop(exchange.seq, None)
        if len(self._changes) > self._kept_max + self._kept_max // 4:
            self._trim()

    def since(self, change: int, page_max: int = PAGE_MAX) -> Page:
        """What changed after `change`, each exchange once, in its present state."""
        last = self._first + len(self._changes) - 1
        begin = max(change + 1, self._first)
        found: list[Exchange] = []
        at = begin
        while at <= last and len(found) < page_max:
            exchange = self._changes[at - self._first]
            if exchange is not None:
                found.append(exchange)
            at += 1
        return Page(
            next=at - 1 if at > begin else max(change, last),
            more=at <= last,
            lost=begin - max(change, 0) - 1,
            exchanges=found,
        )

    def _trim(self) -> None:
        count = len(self._changes) - self._kept_max
        for exchange in self._changes[:count]:
            if exchange is not None:
                self._last_of.pop(exchange.seq, None)
        del self._changes[:count]
        self._first += count
