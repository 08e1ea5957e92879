"""The requests of a history as columns, so that all of them can be counted, timed and judged without holding any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter, not_
from typing import Any, ClassVar, Self, TypeVar

from servedrill.history.events import RequestRecord
from servedrill.history.names import Names
from servedrill.history.selection import Selection
from servedrill.history.source import Listed
from servedrill.history.table import BLOCK_ROWS, Table

T = TypeVar("T")
NEVER = -(1 << 63)
"""Stands for None in columns of instants."""
LAST_NS = (1 << 63) - 1
"""Later than any instant."""
NOTHING_SAID, NOT_REMEMBERED = -1, 0
"""Numbers of answers: there is no text of a 200; it was too much to remember."""
ANSWERS_MAX, ANSWERS_MAX_BYTES, SAME_TEXT_MAX = 4096, 8 << 20, 8
_ANSWER = attrgetter(
    *("route", "stream", "n", "model", "prompt", "prompt_tokens", "max_tokens", "params", "texts", "finish_reasons"),
    *("preambles", "done_frames", "models", "fingerprints", "completion_tokens", "usage_prompt_tokens", "failure"),
    "cancelled_ns",
)
"""All that the text of an answer is judged by: what was asked, what came, and how it ended."""

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
    "pieces": "q",
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
"""Those that are not `RequestRecord`'s own: ``tokens`` that were counted by the server, or else the ``pieces`` of
content that came, ``tries`` of the client, ``answer`` a number that only requests share which were asked and answered
the same. 0 is no status, no gap, no limit and no failure, which else is the number of its name and one more."""


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
            table.add(record, place, at=place)
        table.finish()
        return cls(table, Listed(told))

    # ---- how many tokens they had

    trusting: ClassVar[bool] = False
    """Whether counts of tokens are taken as they were told, where nothing bears them out."""

    @property
    def trusted(self) -> Requests:
        """The same requests, with the server's counts of their tokens taken at its word."""
        return _Trusted(self.table, self.source, self.parts)

    def tokens(self) -> Iterator[int]:
        """Of all choices together: as counted by the server where that is checked word by word, else as many as pieces
        of content came. Of `trusted` ones the larger number."""
        if self.table.counts_known:
            return self.column("tokens")
        return map(max, self.column("tokens"), self.column("pieces")) if self.trusting else self.column("pieces")

    # ---- who

    def of_classes(self, classes: Iterable[str]) -> Self:
        """Those of some classes; a class that nobody asked with has none."""
        wanted = set(classes)
        numbers = {number for number, name in enumerate(self.table.classes.all) if name in wanted}
        if not numbers:
            return self[:0]
        return self if len(numbers) == len(self.table.classes.all) else self.where("cls", test=numbers.__contains__)

    def due(self, start_ns: int, end_ns: int) -> Self:
        """Those that were due between two instants, both included."""
        return self.between("t_int_ns", start_ns, end_ns)

    # ---- how they went

    @property
    def attempted(self) -> Self:
        """All but those that the drill hung up on itself."""
        return self.where("cancelled", test=not_) if self.table.any_cancelled else self

    @property
    def cancelled(self) -> Self:
        """Those that the drill hung up on itself."""
        return self.where("cancelled", test=bool)

    @property
    def whole(self) -> Self:
        """`servedrill.stats.requests.whole`."""
        return self.where("failure", "cancelled", test=lambda failure, cancelled: not failure and not cancelled)

    @property
    def failed(self) -> Self:
        """Those whose answer was not whole, for any reason."""
        return self.where("failure", test=bool)

    @property
    def begun(self) -> Self:
        """Some content came."""
        return self.where("t_first_ns", test=NEVER.__lt__)

    @property
    def without_content(self) -> Self:
        """No content came."""
        return self.where("t_first_ns", test=NEVER.__eq__)

    @property
    def answers(self) -> Self:
        """Those with a status of 200 and some text."""
        return self.where("answer", test=NOTHING_SAID.__ne__)

    def each_answer(self, judge: Callable[[RequestRecord], T]) -> Iterator[T]:
        """What is said of each of `answers` that depends on nothing but what was asked and answered: of equal ones it
        is asked once."""
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
        """Those that asked for a stream."""
        return self.where("stream", test=bool)

    @property
    def unstreamed(self) -> Self:
        """Those that asked for the answer in one piece."""
        return self.where("stream", test=not_)

    def failures(self) -> Iterator[str | None]:
        """What each of them failed of; None where it did not."""
        return map([None, *self.table.failures.all].__getitem__, self.column("failure"))

    def failed_of(self, *failures: str) -> Self:
        """Those that failed of one of these, as `RequestRecord.failure` names them."""
        numbers = {self.table.failures.get(failure, -1) + 1 for failure in failures} - {0}
        return self.where("failure", test=numbers.__contains__)


class _Trusted(Requests):
    trusting = True


class RequestTable(Table):
    """A row for each request."""

    counts_known = True
    """See `servedrill.history.promises.counts_known`."""

    def __init__(self, block_rows: int = BLOCK_ROWS) -> None:
        super().__init__(_COLUMNS, ranged="t_int_ns", block_rows=block_rows)
        self.classes, self.failures = Names(), Names()
        self.any_cancelled = False
        self._answer = _Answers().number

    def add(self, r: RequestRecord, place: int, at: int | None = None) -> None:
        """``at``: what it is sorted by before the place, instead of its instant."""
        failure, first, last, sent, gaps, texts = r.failure, r.t_first_ns, r.t_last_ns, r.t_send_ns, r.gaps_ns, r.texts
        cancelled = r.cancelled_ns is not None
        self.any_cancelled = self.any_cancelled or cancelled
        self.append((
            r.t_ns if at is None else at,
            place,
            r.t_int_ns,
            NEVER if sent is None else sent,
            NEVER if first is None else first,
            NEVER if last is None else last,
            r.t_end_ns,
            max(gaps) if gaps else 0,
            r.completion_tokens or len(gaps) + 1,
            len(gaps) + 1,
            r.n,
            r.max_tokens or 0,
            r.status or 0,
            r.deadline_s,
            len(r.attempts),
            self.classes[r.cls],
            0 if failure is None else self.failures[failure] + 1,
            self._answer(r) if r.status == 200 and texts and (texts[0] or any(texts)) else NOTHING_SAID,
            r.stream,
            cancelled,
        ))  # fmt: skip


class _Answers:
    """Numbers of different answers. A load that asks the same prompts again and again gets few."""

    def __init__(self) -> None:
        self._known: dict[str, list[tuple[int, tuple[Any, ...]]]] = {}
        """First text -> answers that have it: number, and all that is judged by."""
        self._last, self._bytes_left = 0, ANSWERS_MAX_BYTES

    def number(self, r: RequestRecord) -> int:
        told: tuple[Any, ...] = _ANSWER(r)
        known = self._known.get(r.texts[0], [])
        for number, other in known:
            if told == other:
                return number
        size = 2 * sum(map(len, r.texts)) + len(r.prompt)
        if (
            r.cancelled_ns is not None
            or len(known) >= SAME_TEXT_MAX
            or self._last >= ANSWERS_MAX
            or size > self._bytes_left
        ):
            return NOT_REMEMBERED
        self._last, self._bytes_left = self._last + 1, self._bytes_left - size
        self._known.setdefault(r.texts[0], []).append((self._last, told))
        return self._last
