"""Some of the events of one kind, in the order of time: columns of numbers at once, whole events one at a time.

A selection holds two bytes for each event of its own. What is more is read when it is asked for, so events are looked
at one after the other, and nobody keeps more of them than a few.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any, Generic, Self, TypeVar, overload

from servedrill.history.source import Source
from servedrill.history.table import Block, Table

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one block."""

    block: Block
    rows: Sequence[int]
    """In order; a range, or an array of unsigned shorts."""


class Selection(Sequence[E], Generic[E]):
    """Events of one kind. Iterating reads them anew each time."""

    def __init__(self, table: Table, source: Source, parts: Iterable[Part] | None = None) -> None:
        """All events of a table, or some rows of it."""
        self.table, self.source = table, source
        self.parts = [Part(block, range(block.rows)) for block in table.blocks] if parts is None else list(parts)

    def __len__(self) -> int:
        return sum(len(part.rows) for part in self.parts)

    def __iter__(self) -> Iterator[E]:
        return self.source.events(self.column("place"))

    @overload
    def __getitem__(self, index: int) -> E: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> E | Self:
        if isinstance(index, slice):
            return self._slice(*index.indices(len(self)))
        at = range(len(self))[index]
        for part in self.parts:
            if at < len(part.rows):
                return self.at(self.table.read(part.block, "place")[part.rows[at]])
            at -= len(part.rows)
        raise AssertionError("an index within the length")

    def at(self, place: int) -> E:
        """The event at one of their places."""
        return next(iter(self.source.events([place])))  # type: ignore[no-any-return]

    # ---- columns

    def column(self, name: str) -> Iterator[Any]:
        """Values of one column of the table."""
        return chain.from_iterable(self._values(part, name) for part in self.parts)

    def counted(self, name: str, start: int, width: int) -> Counter[int]:
        """How many have a value of a column in each stretch of a width: number 0 begins at ``start``."""
        return Counter((value - start) // width for value in self.column(name))

    def columns(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """Values of several columns, event by event."""
        return chain.from_iterable(
            zip(*(self._values(part, name) for name in names), strict=True) for part in self.parts
        )

    def _values(self, part: Part, name: str) -> Iterable[Any]:
        values = self.table.read(part.block, name)
        return values if len(part.rows) == part.block.rows else map(values.__getitem__, part.rows)

    # ---- some of them

    def where(self, *names: str, test: Callable[..., Any]) -> Self:
        """Those for which a test of some columns is true."""
        return self._of(
            Part(part.block, array("H", compress(part.rows, map(test, *(self._values(part, name) for name in names)))))
            for part in self.parts
        )

    def keep(self, flags: Iterable[Any]) -> Self:
        """Those whose flag is true: ``found.keep(wait_s > 2 for wait_s in waits_s(found))``."""
        told = iter(flags)
        return self._of(Part(part.block, array("H", compress(part.rows, told))) for part in self.parts)

    def between(self, name: str, start: int, end: int) -> Self:
        """Those of which a column is at least ``start`` and at most ``end``; cheap for the one that the table is asked
        for by ranges."""
        ranged = name == self.table.ranged
        parts: list[Part] = []
        for part in self.parts:
            if ranged and (part.block.most < start or part.block.least > end):
                continue
            if ranged and start <= part.block.least and part.block.most <= end:
                parts.append(part)
            else:
                inside = (start <= value <= end for value in self._values(part, name))
                parts.append(Part(part.block, array("H", compress(part.rows, inside))))
        return self._of(parts)

    def _slice(self, start: int, stop: int, step: int) -> Self:
        if step != 1:
            raise ValueError("a selection has slices without a step")
        parts: list[Part] = []
        for part in self.parts:
            parts.append(Part(part.block, part.rows[max(0, start) : max(0, stop)]))
            start, stop = start - len(part.rows), stop - len(part.rows)
        return self._of(parts)

    def _of(self, parts: Iterable[Part]) -> Self:
        return type(self)(self.table, self.source, [part for part in parts if part.rows])
