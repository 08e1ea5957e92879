"""The tap of one connection: reads along at both ends, knows which exchange is where, and writes them into a log.

    client ──●──> toxics ──> upstream        ● the request, before any toxic
    client <── toxics <──●── upstream        ● the answer, before any toxic

It never changes a byte. On anything that is not HTTP/1.1 it turns itself off for this connection. Toxics that know HTTP
ask it where in the stream they are; for them it also runs without a log.

A drawing of how answers that toxics make are put between the responses of the upstream is in docs/design/tap.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from servedrill.host.clock import now_ns
from servedrill.toxiproxy.exchanges import Exchange, ExchangeLog
from servedrill.toxiproxy.http1 import Framer, Head, Part, starts_request

OPEN_MAX = 1000
"""More pipelined requests than this on one connection are not traffic that anyone wants listed."""


class Answer(NamedTuple):
    """An answer that a toxic made, waiting for its turn."""

    data: bytes
    closes: bool


class Turn(NamedTuple):
    """Answers that go down behind the first `at` bytes of a chunk from upstream."""

    at: int
    answers: list[Answer]


class Tap:
    """Both framers of one connection, and the exchanges that are open on it, by ordinal."""

    __slots__ = (
        "_answers", "_cause", "_cause_ns", "_heads", "_log", "_number", "_off", "_on_sync", "_open", "_turn",
        "idle_since", "is_synced", "requests", "responses",
    )  # fmt: skip

    def __init__(
        self, log: ExchangeLog | None, connection_number: int, *, live: bool, on_sync: Callable[[], None]
    ) -> None:
        self._log = log
        self._number = connection_number
        self._on_sync = on_sync
        self._open: dict[int, Exchange] = {}
        self._heads: set[int] = set()
        self._off = False
        self._cause: str | None = None
        self._cause_ns = 0
        self.is_synced = not live
        """A connection that was in use when the tap came is read from its next request on."""
        self.requests = Framer(responses=False)
        self.responses = Framer(responses=True, is_bodiless=self._heads.__contains__)
        self._turn = 0
        """The ordinal of the exchange whose answer goes down next."""
        self._answers: dict[int, Answer] = {}
        self.idle_since: float | None = None if live else time.monotonic()
        """Since when no exchange is open; None while one is, or while nobody knows."""

    def from_client(self, data: bytes) -> None:
        """Read what the client sent."""
        if self._off:
            return
        if not self.is_synced:
            if not starts_request(data):
                return
            self.is_synced = True
            self._on_sync()
        for piece in self.requests.feed(data):
            if piece.head is not None:
                self._request(piece.head, piece.ordinal)
            elif piece.part is Part.BROKEN:
                self._turn_off()

    def from_upstream(self, data: bytes) -> list[Turn]:
        """Read what the upstream sent; returns where in it the answers of toxics have to go, in order of `at`."""
        turns: list[Turn] = []
        if self._off or not self.is_synced:
            return turns
        current = self._open.get(self._turn)
        if current is not None:
            current.bytes_down += len(data)
        for piece in self.responses.feed(data):
            if piece.head is not None:
                self._response(piece.head)
            elif piece.part is Part.END:
                due = self._complete()
                if due:
                    turns.append(Turn(piece.at, due))
            elif piece.part is Part.BROKEN:
                self._turn_off()
        if self._off and self._answers:
            turns.append(Turn(len(data), [self._answers.pop(ordinal) for ordinal in sorted(self._answers)]))
        return turns

    def answered(self, ordinal: int, answer: Answer, status: int, retry_after_s: float | None) -> list[Answer]:
        """A toxic answered the request number `ordinal` itself; returns the answers that can go down now."""
        exchange = self._open.pop(ordinal, None)
        if exchange is not None:
            exchange.status, exchange.retry_after_s = status, retry_after_s
            exchange.t_response_ns = now_ns()
            self._finish(exchange, "toxic")
        if ordinal != self._turn and not self._off:
            self._answers[ordinal] = answer
            return []
        return [answer, *self._next_turn()]

    def ended(self, *, by_client: bool, reset: bool, gone: bool = False) -> None:
        """One side ended its stream, or is gone altogether."""
        side, how = "client" if by_client else "upstream", "reset" if reset else "closed"
        if self._cause is None:
            self._cause, self._cause_ns = f"{side}_{how}", now_ns()
        if by_client and not gone:
            return  # Perhaps a half-close: the answer may still come.
        if not by_client and not reset and self.responses.ends_with_connection:
            self._complete()
        self._finish_all(self._cause, self._cause_ns)

    def toxic_ended(self) -> None:
        """A toxic ends the connection: whatever is open ends by it."""
        self._finish_all("toxic", now_ns())

    def close(self) -> None:
        """The connection is gone: whatever is still open has ended."""
        self._finish_all(self._cause or "toxic", self._cause_ns or now_ns())

    def _request(self, head: Head, ordinal: int) -> None:
        method, path, _ = head.first
        exchange = Exchange(
            seq=self._log.new_seq() if self._log is not None else 0,
            connection=self._number,
            method=method,
            path=path,
            request_id=head.fields.get("x-request-id"),
            attempt=head.fields.get("x-attempt"),
            t_request_ns=now_ns(),
        )
        if len(self._open) >= OPEN_MAX:
            self._turn_off()
            return
        if method == "HEAD":
            self._heads.add(ordinal)
        self._heads.discard(ordinal - OPEN_MAX)  # No toxic lags behind by so many answers.
        self._open[ordinal] = exchange
        self.idle_since = None
        self._changed(exchange)

    def _response(self, head: Head) -> None:
        exchange = self._open.get(self._turn)
        if exchange is None:
            self._turn_off()  # A response to nothing.
        elif head.status >= 200 or head.status == 101:
            exchange.t_response_ns = now_ns()
            exchange.status = head.status
            exchange.retry_after_s = _seconds(head.fields.get("retry-after"))
            self._changed(exchange)

    def _complete(self) -> list[Answer]:
        exchange = self._open.pop(self._turn, None)
        if exchange is not None:
            self._finish(exchange, "complete")
        return self._next_turn()

    def _next_turn(self) -> list[Answer]:
        """Go on to the next exchange, and past those that toxics answered: these answers go down now.

        The framer counts only what came from upstream, the turn counts every answer.
        """
        due: list[Answer] = []
        self._turn += 1
        while self._turn in self._answers:
            due.append(self._answers.pop(self._turn))
            self._turn += 1
        self.responses.ordinal = self._turn
        if not self._open:
            self.idle_since = time.monotonic()
        return due

    def _finish(self, exchange: Exchange, end: str, at_ns: int = 0) -> None:
        exchange.end = end
        exchange.t_end_ns = at_ns or now_ns()
        self._changed(exchange)

    def _finish_all(self, end: str, at_ns: int) -> None:
        for exchange in self._open.values():
            self._finish(exchange, end, at_ns)
        self._open.clear()

    def _changed(self, exchange: Exchange) -> None:
        if self._log is not None:
            self._log.changed(exchange)

    def _turn_off(self) -> None:
        self._off = True  # What is open stays listed, and ends when the connection does.
        self.idle_since = None


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; a date is not read."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
