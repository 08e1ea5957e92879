"""Recorded requests as a CSV file has them: when each came, how long its prompt and its answer were.

The form is that of Azure's public LLM inference traces (github.com/Azure/AzurePublicDataset; Patel et al., Splitwise,
ISCA 2024): ``TIMESTAMP,ContextTokens,GeneratedTokens``, one request a line.
"""

from __future__ import annotations

import csv
import io
import itertools
import statistics
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from servedrill.errors import UsageError
from servedrill.files.regular import read_regular

_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_EXPECTED = f"the columns {','.join(_COLUMNS)}: a time as in 2023-11-16 18:15:46.680, and two counts"


class TraceRow(msgspec.Struct, frozen=True):
    """One request; ``offset_s`` counts from the first one."""

    offset_s: float
    prompt_words: int
    output_tokens: int


class Recording(msgspec.Struct, frozen=True):
    """A whole file, in order of time."""

    rows: tuple[TraceRow, ...]

    @property
    def span_s(self) -> float:
        """From the first request to the last."""
        return self.rows[-1].offset_s

    @property
    def rate(self) -> float:
        """Requests a second; 0 where all came at one instant."""
        return (len(self.rows) - 1) / self.span_s if self.span_s else 0.0

    @property
    def prompt_words_mean(self) -> float:
        """Words a prompt."""
        return statistics.fmean(row.prompt_words for row in self.rows)

    @property
    def output_tokens_mean(self) -> float:
        """Tokens an answer."""
        return statistics.fmean(row.output_tokens for row in self.rows)


def read_recording(path: str) -> Recording:
    """The file, read once for as long as it does not change. Raises `UsageError` with the line of the first mistake."""
    try:
        stat = Path(path).stat()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=path, expected="a trace as a CSV file") from error
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _read(path: str, mtime_ns: int, size: int) -> Recording:
    try:
        text = read_regular(Path(path)).decode("utf-8-sig")
        rows = tuple(_rows(io.StringIO(text, newline=""), path))
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=path, expected="a trace as a CSV file") from error
    except UnicodeDecodeError as error:
        raise UsageError("is not text in UTF-8", where=path, expected=_EXPECTED) from error
    if not rows:
        raise UsageError("has no requests", where=path, expected="one request a line below the header")
    return Recording(rows)


def _rows(lines: Iterator[str], path: str) -> Iterator[TraceRow]:
    first: datetime | None = None
    last_s = 0.0
    reader = csv.DictReader(lines)
    try:
        missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"no column {missing[0]}")
        for row in reader:
            if any(row[column] is None for column in _COLUMNS):
                raise ValueError("too few columns")
            at = datetime.fromisoformat(row["TIMESTAMP"])
            words, tokens = int(row["ContextTokens"]), int(row["GeneratedTokens"])
            if min(words, tokens) < 0:
                raise ValueError("a count below 0")
            first = first or at
            # Rows of one service may be logged slightly out of order; arrivals only ever go forward.
            last_s = max(last_s, (at - first).total_seconds())
            yield TraceRow(last_s, max(1, words), max(1, tokens))  # none at all cannot be asked for
    except (ValueError, TypeError, csv.Error) as error:  # TypeError: times with a zone among times without
        if isinstance(error, UnicodeDecodeError):
            raise
        raise UsageError(str(error), where=f"{path}, line {max(1, reader.line_num)}", expected=_EXPECTED) from error


def laps(recording: Recording, *, skip: int, repeat: bool) -> Iterator[tuple[float, TraceRow]]:
    """The requests from number ``skip`` on, which comes at 0 s; with ``repeat`` the recording is a ring without an end.

    A mean gap lies between its last request and its first.
    """
    rows, lap_s = recording.rows, 0.0
    begin_s = rows[skip].offset_s
    for row in itertools.islice(rows, skip, None):
        yield row.offset_s - begin_s, row
    while repeat:
        lap_s += recording.span_s + 1 / recording.rate
        for row in rows:
            yield lap_s + row.offset_s - begin_s, row
