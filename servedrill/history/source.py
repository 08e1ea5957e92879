"""Where the events of a history come from, and where one of them is read again when somebody needs all of it."""

from __future__ import annotations

import contextlib
import gc
import os
import stat
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from servedrill.errors import UsageError
from servedrill.history.clocks import Clocks
from servedrill.history.events import AnyEvent
from servedrill.history.lines import LineDecoder

KEPT_MAX_BYTES = 16 << 20
"""Of lines whose events are kept; those of a larger file are read again."""


class Source(Protocol):
    """Events, each at a place."""

    def placed(self) -> Iterator[tuple[int, AnyEvent]]:
        """Every event and its place, places rising."""
        ...

    def events(self, places: Iterable[int]) -> Iterator[Any]:
        """The events at some places, one at a time."""
        ...


class Listed:
    """Events in memory; a place is an index."""

    def __init__(self, events: Sequence[AnyEvent]) -> None:
        self._events = events

    def placed(self) -> Iterator[tuple[int, AnyEvent]]:
        """Every event and its index."""
        return enumerate(self._events)

    def events(self, places: Iterable[int]) -> Iterator[Any]:
        """The events at some indices."""
        return map(self._events.__getitem__, places)


class OnOneClock:
    """The events of another source, put on the clock of the drill's machine."""

    def __init__(self, source: Source, clocks: Clocks) -> None:
        self._source, self._clocks = source, clocks

    def placed(self) -> Iterator[tuple[int, AnyEvent]]:
        """Every event and the place that it has in the other source."""
        return ((place, self._clocks.on_drills(event)) for place, event in self._source.placed())

    def events(self, places: Iterable[int]) -> Iterator[Any]:
        """The events at some places of the other source."""
        return map(self._clocks.on_drills, self._source.events(places))


class Lines:
    """A history file; a place is the byte at which a line begins."""

    def __init__(self, path: Path, *, kept_max_bytes: int = KEPT_MAX_BYTES) -> None:
        """Raises `UsageError` where there is no such file, or something else."""
        self._path, self._kept_max_bytes = path, kept_max_bytes
        self._kept: dict[int, AnyEvent] = {}
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe is not waited for
        except OSError as error:
            raise UsageError(f"no history to read: {error.strerror}", where=str(path)) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UsageError("no history to read: no file", where=str(path))
        weakref.finalize(self, os.close, descriptor)
        self._file = open(descriptor, "rb", buffering=1 << 17, closefd=False)  # noqa: SIM115
        self._decode = LineDecoder(first=self._file.readline()).decode

    def placed(self) -> Iterator[tuple[int, AnyEvent]]:
        """Raises `UsageError` naming the line when anything but the last line is no event."""
        self._file.seek(0)
        decoder = LineDecoder(first=self._file.readline())
        decode, kept, kept_max_bytes = decoder.known or decoder.decode, self._kept, self._kept_max_bytes
        self._file.seek(0)
        place = 0
        for line in self._file:
            try:
                event = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                try:
                    event = decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    if line == b"\n":
                        place += 1
                        continue
                    if not line.endswith(b"\n"):  # the last one, cut by a crash
                        return
                    raise self._unreadable(place, error) from error
            if place < kept_max_bytes:
                kept[place] = event
            elif kept:
                kept.clear()
            yield place, event
            place += len(line)

    def events(self, places: Iterable[int]) -> Iterator[Any]:
        """The events whose lines begin at some bytes, read again one at a time where they are not kept."""
        kept = self._kept
        if kept:
            yield from map(kept.__getitem__, places)
            return
        seek, line, decode = self._file.seek, self._file.readline, self._decode
        for place in places:
            seek(place)
            yield decode(line())

    def _unreadable(self, place: int, error: Exception) -> UsageError:
        self._file.seek(0)
        number = self._file.read(place).count(b"\n") + 1
        return UsageError(
            f"cannot be read: {error}",
            where=f"{self._path}:{number}",
            expected="one event of servedrill.history.events a line",
        )


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Events hold no cycles, and looking for some again and again while a million are made takes longer than making
    them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
