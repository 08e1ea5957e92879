"""The requests of a history as columns, so that all of them can be counted, timed and judged without holding any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TypeVar

import msgspec

from servedrill.history.events import RequestRecord
from servedrill.history.names import Names
from servedrill.history.selection import Selection
from servedrill.history.source import Listed
from servedrill.history.table import BLOCK_ROWS, Row, Table

T = TypeVar("T")
NEVER = -(1 << 63)
"""Stands for None in columns of instants."""
LAST_NS = (1 << 63) - 1
"""Later than any instant."""
NOTHING_SAID, NOT_REMEMBERED = -1, 0
"""Numbers of answers: there is no text of a 200; it was too much to remember."""
ANSWERS_MAX, ANSWERS_MAX_BYTES = 4096, 8 << 20

_COLUMNS = {
    "t_ns": "q",
    "place": "q",
    "t_int_ns": "q",
    "t_send_ns": "q",
    "t_first_ns": "q",
    "t_last_ns": "q",
    "t_end_ns": "q",
    "longest_gap_ns": "q",
    "tokens": "q",
    "n": "q",
    "max_tokens": "q",
    "status": "q",
    "deadline_s": "d",
    "tries": "i",
    "cls": "i",
    "failure": "i",
    "answer": "i",
    "stream": "b",
    "cancelled": "b",
}
"""Those that are not `RequestRecord`'s own: ``tokens`` that were counted by the server or else pieces of content that came, ``tries``
of the client, ``answer`` a number that only requests share which were asked and answered the same. 0 is no status, no gap, no limit
and no failure, which else is the number of its name and one more."""


class Requests(Selection[RequestRecord]):
    """Requests in the order in which they ended."""

    table: RequestTable

    @classmethod
    def of(cls, records: Iterable[RequestRecord]) -> Requests:
        """Themselves, or some records as they are given."""
        if isinstance(records, Requests):
            return records
        told = list(records)
        table = RequestTable()
        for place, record in enumerate(told):
            table.append((place, *table.row(record, place)[1:]))
        table.finish()
        return cls(table, Listed(told))

    # ---- who

    def of_classes(self, classes: Iterable[str]) -> Self:
        wanted = set(classes)
        numbers = {number for number, name in enumerate(self.table.classes.all) if name in wanted}
        return self if len(numbers) == len(self.table.classes.all) else self.where("cls", test=numbers.__contains__)

    def by_class(self) -> dict[str, Self]:
        """Request class -> its requests, for classes that have some."""
        if len(self.table.classes.all) == 1:
            return {name: self for name in self.table.classes.all if self}
        found = ((name, self.where("cls", test=number.__eq__)) for number, name in enumerate(self.table.classes.all))
        return {name: requests for name, requests in found if requests}

    def due(self, start_ns: int, end_ns: int) -> Self:
        return self.between("t_int_ns", start_ns, end_ns)

    # ---- how they went

    @property
    def attempted(self) -> Self:
        """All but those that the drill hung up on itself."""
        return self.where("cancelled", test=_no)

    @property
    def cancelled(self) -> Self:
        return self.where("cancelled", test=bool)

    @property
    def whole(self) -> Self:
        """`servedrill.stats.requests.whole`."""
        return self.where("failure", "cancelled", test=lambda failure, cancelled: not failure and not cancelled)

    @property
    def failed(self) -> Self:
        return self.where("failure", test=bool)

    @property
    def begun(self) -> Self:
        """Some content came."""
        return self.where("t_first_ns", test=NEVER.__lt__)

    @property
    def without_content(self) -> Self:
        return self.where("t_first_ns", test=NEVER.__eq__)

    @property
    def answers(self) -> Self:
        """Those with a status of 200 and some text."""
        return self.where("answer", test=NOTHING_SAID.__ne__)

    def each_answer(self, judge: Callable[[RequestRecord], T]) -> Iterator[T]:
        """What is said of each of `answers` that depends on nothing but what was asked and answered: of equal ones it is asked once."""
        known: dict[int, T] = {}
        for number, place in self.columns("answer", "place"):
            if number == NOT_REMEMBERED:
                yield judge(self.at(place))
            else:
                if number not in known:
                    known[number] = judge(self.at(place))
                yield known[number]

    @property
    def streams(self) -> Self:
        return self.where("stream", test=bool)

    @property
    def unstreamed(self) -> Self:
        return self.where("stream", test=_no)

    def failures(self) -> Iterator[str | None]:
        """What each of them failed of; None where it did not."""
        return map([None, *self.table.failures.all].__getitem__, self.column("failure"))

    def failed_of(self, *failures: str) -> Self:
        numbers = {self.table.failures.known(failure) + 1 for failure in failures} - {0}
        return self.where("failure", test=numbers.__contains__)


class RequestTable(Table):
    """A row for each request."""

    def __init__(self, block_rows: int = BLOCK_ROWS) -> None:
        super().__init__(_COLUMNS, ranged="t_int_ns", block_rows=block_rows)
        self.classes, self.failures = Names(), Names()
        self._answer = _Answers().number

    def row(self, r: RequestRecord, place: int) -> Row:
        failure, first, last, gaps = r.failure, r.t_first_ns, r.t_last_ns, r.gaps_ns
        return (
            r.t_ns,
            place,
            r.t_int_ns,
            NEVER if r.t_send_ns is None else r.t_send_ns,
            NEVER if first is None else first,
            NEVER if last is None else last,
            r.t_end_ns,
            max(gaps) if gaps else 0,
            r.completion_tokens or len(gaps) + 1,
            r.n,
            r.max_tokens or 0,
            r.status or 0,
            r.deadline_s,
            len(r.attempts),
            self.classes.number(r.cls),
            0 if failure is None else self.failures.number(failure) + 1,
            self._answer(r) if r.status == 200 and any(r.texts) else NOTHING_SAID,
            r.stream,
            r.cancelled_ns is not None,
        )


class _Answers:
    """Numbers of different answers. A load that asks the same prompts again and again gets few."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._bytes_left = ANSWERS_MAX_BYTES
        self._encode = msgspec.json.Encoder().encode

    def number(self, r: RequestRecord) -> int:
        """Of all that the text of an answer is judged by: what was asked, what came, and how it ended."""
        asked = self._encode(r.params)
        key = (
            r.route, r.stream, r.n, r.model, r.prompt, r.prompt_tokens, r.max_tokens, asked, tuple(r.texts),
            tuple(r.finish_reasons), r.preambles, r.done_frames, tuple(r.models), tuple(r.fingerprints),
            r.completion_tokens, r.usage_prompt_tokens, r.failure is None, r.cancelled_ns is None,
        )  # fmt: skip
        numbers = self._numbers
        found = numbers.get(key)
        if found is None:
            self._bytes_left -= len(asked) + len(r.prompt) + 2 * sum(map(len, r.texts))
            if len(numbers) >= ANSWERS_MAX or self._bytes_left < 0:
                return NOT_REMEMBERED
            found = numbers[key] = len(numbers) + 1
        return found


def _no(value: Any) -> bool:
    return not value
