"""Tables of numbers: sorted whatever order rows came in, in blocks that are read one at a time."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servedrill.history import table as t
from servedrill.history.selection import Selection
from servedrill.history.source import Listed
from servedrill.history.table import Row, Table

ROWS = st.lists(st.tuples(st.integers(-50, 50), st.floats(-1e9, 1e9)), max_size=60)
BLOCKS = st.integers(1, 7)


def table(rows: list[tuple[int, float]], block_rows: int) -> Table:
    """Rows of an instant, the place at which it was appended, and a figure."""
    made = Table({"at": "q", "place": "q", "figure": "d"}, ranged="at", block_rows=block_rows)
    for place, (at, figure) in enumerate(rows):
        made.append((at, place, figure))
    made.finish()
    return made


def stored(made: Table) -> list[Row]:
    return [row for block in made.blocks for row in made.rows(block)]


@given(ROWS, BLOCKS)
def test_rows_are_in_order_and_none_is_lost(rows: list[tuple[int, float]], block_rows: int) -> None:
    """Whatever order they came in, and those of one instant in the order in which they came."""
    made = table(rows, block_rows)
    assert stored(made) == sorted((at, place, figure) for place, (at, figure) in enumerate(rows))
    assert len(made) == len(rows)
    assert all(block.rows <= block_rows for block in made.blocks)


@pytest.mark.parametrize("order", [sorted, lambda rows: sorted(rows, reverse=True), lambda rows: rows])
def test_a_table_that_is_on_disk_is_the_same(
    order: Callable[[list[tuple[int, float]]], list[tuple[int, float]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sorted, backwards or shuffled: thousands of rows, of which a few at a time are in memory."""
    monkeypatch.setattr(t, "IN_MEMORY_MAX_BYTES", 1000)
    chance = random.Random(1)
    rows = order([(chance.randrange(5000), chance.random()) for _ in range(5000)])
    assert stored(table(rows, 64)) == sorted((at, place, figure) for place, (at, figure) in enumerate(rows))


@given(ROWS, BLOCKS, st.integers(-60, 60), st.integers(-60, 60), st.floats(-1e9, 1e9))
def test_a_selection_has_what_a_list_would_have(
    rows: list[tuple[int, float]], block_rows: int, start: int, end: int, limit: float
) -> None:
    """By ranges, by tests and by flags, one upon the other; sliced and indexed."""
    made = table(rows, block_rows)
    every: Selection[int] = Selection(made, Listed(list(range(len(rows)))))  # type: ignore[arg-type]
    listed = stored(made)
    found = every.between("at", start, end).where("figure", test=lambda figure: figure > limit)
    wanted = [row for row in listed if start <= row[0] <= end and row[2] > limit]
    assert list(found.columns("at", "place", "figure")) == wanted
    assert (list(found), len(found)) == ([place for _, place, _ in wanted], len(wanted))
    odd = found.keep(place % 2 for place in found)
    assert list(odd) == [place for place in found if place % 2]
    assert list(every[2:5]) == [place for _, place, _ in listed][2:5]
    assert list(every[2:5][1:2].column("at")) == [at for at, _, _ in listed][2:5][1:2]
    if listed:
        assert (every[0], every[-1]) == (listed[0][1], listed[-1][1])
    with pytest.raises(IndexError):
        every[len(rows)]
