"""The history file: JSON lines, appended whole, readable after any crash.

Several processes append to one file. Each append is a single ``write(2)`` on an ``O_APPEND``
descriptor, which the kernel places at the end in one piece, so lines never mix. A last line that was cut by a
crash is left out on reading, and said.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path

from servedrill.history.events import AnyEvent
from servedrill.history.lines import encode
from servedrill.history.source import Lines, without_collection


class Journal:
    """Appends events to a history file; safe to use from several threads and processes at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def append(self, *events: AnyEvent) -> None:
        """Write the events as one piece, in the order given."""
        if self._fd is None:
            raise ValueError(f"{self.path} is closed")
        lines = b"".join(encode(event) + b"\n" for event in events)
        written = os.write(self._fd, lines)
        if written != len(lines):
            raise OSError(f"{self.path}: wrote {written} of {len(lines)} bytes; is the disk full?")

    def close(self) -> None:
        """Give the file back; more than once does no harm."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def iter_events(path: Path) -> Iterator[AnyEvent]:
    """All whole events of a history file as they stand in it, one at a time: for what is too much to hold at once.

    What this version does not know is among them as `Unknown`. Raises `UsageError` naming the line when anything but
    the last line is no event.
    """
    for _, event in Lines(path, kept_max_bytes=0).placed():
        yield event


def read_events(path: Path) -> list[AnyEvent]:
    """All whole events of a history file, in the order of ``t_ns``. Raises as `iter_events` does."""
    with without_collection():
        return sorted(iter_events(path), key=attrgetter("t_ns"))


def write_events(path: Path, events: Iterable[AnyEvent]) -> None:
    """A history file made of ``events``: for tests and for tools that cut a history down."""
    journal = Journal(path)
    try:
        for event in events:
            journal.append(event)
    finally:
        journal.close()
