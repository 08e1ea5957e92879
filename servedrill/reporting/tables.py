"""Tables on a terminal of any width: below `WIDE_MIN` columns a row is a paragraph, a line for each cell."""

from __future__ import annotations

import os
from typing import IO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from servedrill.reporting.shown import showing

WIDE_MIN = 110
"""Columns: with fewer, cells would be a word wide."""
_PLAIN_WIDTH = 140


def console_for(file: IO[str]) -> Console:
    """A console on ``file``; where it is no terminal it is as wide as COLUMNS says, or wide enough for any table."""
    console = Console(file=file, highlight=False)
    told = os.environ.get("COLUMNS", "").isdigit()
    known = console.is_terminal or told
    return showing(console if known else Console(file=file, highlight=False, width=_PLAIN_WIDTH))


def print_table(console: Console, table: Table) -> None:
    """As a table where there is room, else its rows one below the other."""
    if console.width >= WIDE_MIN or len(table.columns) < 3:
        console.print(table)
        return
    if table.title:
        console.print(table.title, style="table.title")
    headers = [str(column.header) for column in table.columns]
    for first, *rest in zip(*(column.cells for column in table.columns), strict=True):
        console.print(Text.assemble(_text(first), style="bold"))
        for header, cell in zip(headers[1:], rest, strict=True):
            if text := _text(cell):
                console.print(Padding(Text.assemble((f"{header}: ", "dim"), text), (0, 0, 0, 2), expand=False))


def _text(cell: object) -> Text:
    """Of several lines one is made."""
    text = cell if isinstance(cell, Text) else Text.from_markup(str(cell))
    return Text(" ").join(text.split("\n"))
