"""Rows of numbers in a sorted table that is kept on disk, column by column, and read block by block.

    append ──► pending rows ──sort──► blocks of sorted rows, one run as long as each follows on the one before
                                      several runs are merged in the end, a few rows of each at a time

A history's lines are nearly in order, so that there is one run as a rule, and no merging. What is held at once are two
blocks of rows, however long a table is. A small table never reaches the disk.
"""

from __future__ import annotations

import struct
import tempfile
import weakref
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any, TypeAlias

BLOCK_ROWS = 2048
IN_MEMORY_MAX_BYTES = 4 << 20

Row: TypeAlias = tuple[Any, ...]
"""Numbers in the order of the table's columns; tables are sorted by them, from the first column on."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows that follow on each other."""

    begin: int
    """Of its bytes in the table's file."""
    rows: int
    least: int
    most: int
    """Of the table's ranged column."""


class Table:
    """Rows are appended in any order; after `finish` they are there in order, and no more come."""

    def __init__(self, columns: Mapping[str, str], *, ranged: str, block_rows: int = BLOCK_ROWS) -> None:
        """``columns``: name -> typecode of `array`. ``ranged``: the column that is asked for by ranges. At most 65,536
        rows a block."""
        self.blocks: list[Block] = []
        """In order, once it is finished."""
        self._columns, self._block_rows = dict(columns), block_rows
        self.ranged, self._range = ranged, list(columns).index(ranged)
        self._places: dict[str, tuple[str, int, int]] = {}
        """Name -> typecode, bytes a row of the columns before it, bytes of a value."""
        before = 0
        for name, typecode in columns.items():
            size = array(typecode).itemsize
            self._places[name] = (typecode, before, size)
            before += size
        self._pending: list[Row] = []
        self._runs: list[list[Block]] = []
        self._last: Row | None = None
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_MAX_BYTES)  # noqa: SIM115
        self._end = 0
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return sum(block.rows for block in self.blocks)

    def append(self, row: Row) -> None:
        """One more row, in any order; a block of rows that are done with goes to the file."""
        self._pending.append(row)
        if len(self._pending) >= 2 * self._block_rows:
            self._spill(self._block_rows)

    def finish(self) -> None:
        """All rows are there: put them in order."""
        while self._pending:
            self._spill(self._block_rows)
        if len(self._runs) > 1:
            runs, self._runs, self._last = self._runs, [], None
            for rows in _merged([_Run(self, run, max(16, 2 * self._block_rows // len(runs))) for run in runs]):
                self._pending += rows
                while len(self._pending) >= self._block_rows:
                    self._spill(self._block_rows)
            if self._pending:
                self._spill(self._block_rows)
        self.blocks = list(chain.from_iterable(self._runs))

    def read(self, block: Block, name: str, start: int = 0, stop: int | None = None) -> array[Any]:
        """Values of one column of a block: all, or those of some of its rows."""
        stop = block.rows if stop is None else stop
        typecode, before, size = self._places[name]
        self._file.seek(block.begin + before * block.rows + start * size)
        values = array(typecode)
        values.frombytes(self._file.read((stop - start) * size))
        return values

    def rows(self, block: Block, start: int = 0, stop: int | None = None) -> list[Row]:
        """Rows of a block: all, or those from ``start`` up to ``stop``."""
        return list(zip(*(self.read(block, name, start, stop) for name in self._columns), strict=True))

    def _spill(self, count: int) -> None:
        """The first rows of those that are pending, as a block; the others may still be overtaken."""
        self._pending.sort()
        rows, self._pending = self._pending[:count], self._pending[count:]
        columns = list(zip(*rows, strict=True))
        written = b"".join(
            struct.pack(f"{len(rows)}{typecode}", *values)
            for typecode, values in zip(self._columns.values(), columns, strict=True)
        )
        ranged = columns[self._range]
        block = Block(self._end, len(rows), min(ranged), max(ranged))
        self._file.seek(self._end)
        self._file.write(written)
        self._end += len(written)
        if self._last is None or rows[0] < self._last:
            self._runs.append([])
        self._runs[-1].append(block)
        self._last = rows[-1]


class _Run:
    """Blocks that are in order, read a few rows at a time."""

    def __init__(self, table: Table, blocks: list[Block], chunk: int) -> None:
        self._chunks = (
            table.rows(block, start, min(start + chunk, block.rows))
            for block in blocks
            for start in range(0, block.rows, chunk)
        )
        self.rows = next(self._chunks, [])

    def take(self, until: Row) -> list[Row]:
        """The rows at hand up to and with that one; when all are taken, the next are at hand."""
        count = bisect_right(self.rows, until)
        taken, self.rows = self.rows[:count], self.rows[count:]
        if not self.rows:
            self.rows = next(self._chunks, [])
        return taken


def _merged(runs: list[_Run]) -> Iterator[list[Row]]:
    """The rows of all runs in order: always up to the first of their last ones at hand, which no other run can still
    come before."""
    while runs := [run for run in runs if run.rows]:
        until = min(run.rows[-1] for run in runs)
        yield sorted(chain.from_iterable(run.take(until) for run in runs))
