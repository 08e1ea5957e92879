"""One toxic's place in one link: what it holds back, when that is due, and what was counted.

A stub is where all timing lives. A toxic only says "hold this until then"; the stub keeps the order, arms one timer for
the head of its queue, slows the sender down when it holds too much, and lets everything go when the toxic is removed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, Protocol

from servedrill.toxiproxy.entry import Entry
from servedrill.toxiproxy.tap import Answer, Tap
from servedrill.toxiproxy.toxic import (
    EARLY_S,
    Buffering,
    Cleaning,
    Ending,
    Holding,
    Mark,
    Slicing,
    Starting,
    Stateful,
    Toxic,
)

HELD_BYTES_MAX = 256 * 1024
FAR_S = 10.0**8
"""Longer delays are cut to this, some three years: the event loop counts milliseconds in 64 bits."""


class _Held(NamedTuple):
    due: float
    item: bytes | memoryview | Mark
    stamp: float
    shift: float


class Carrier(Protocol):
    """The connection, as its stubs see it."""

    number: int
    tap: Tap | None

    def answer(self, ordinal: int, answer: Answer, status: int, retry_after_s: float | None) -> None:
        """Send a toxic's answer down when its turn has come."""

    def blame_toxic(self) -> None:
        """Note that whatever ends on this connection from now on ends by a toxic."""

    def reset(self) -> None:
        """RST to both sides."""


class Pipe(Protocol):
    """The link, as its stubs see it."""

    @property
    def connection(self) -> Carrier: ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...

    def write(self, data: bytes) -> None:
        """Take what comes out of the last stub."""

    def finish(self, mark: Mark) -> None:
        """Take the end of the stream out of the last stub."""

    def congest(self, by: int) -> None:
        """One stub more (1) or less (-1) holds more than it should."""

    def leave(self, stub: LinkStub) -> None:
        """Take a stub out."""

    def held_before(self, stub: LinkStub) -> int | None:
        """How many bytes the stubs before this one hold; None where that cannot be known now."""


class LinkStub:
    """A toxic's place in a link; `servedrill.toxiproxy.toxic.HttpStub` says what each method does for the toxic."""

    __slots__ = (
        "_alarm", "_closed", "_congested", "_counting", "_held_bytes", "_hit", "_limit", "_queue", "_random",
        "_slicing", "_timer", "entry", "evidence", "link", "live_before", "next", "state", "toxic",
    )  # fmt: skip

    def __init__(self, link: Pipe, entry: Entry, *, live_before: bool) -> None:
        self.link = link
        self.entry = entry
        self.toxic: Toxic = entry.toxic
        self.evidence = entry.evidence
        self.live_before = live_before
        self.next: LinkStub | None = None
        self._slicing = self.toxic if isinstance(self.toxic, Slicing) else None  # Asked for each chunk, known once.
        self.state: Any = self.toxic.new_state() if isinstance(self.toxic, Stateful) else None
        self._queue: deque[_Held] = deque()
        self._held_bytes = 0
        self._limit = self.toxic.buffer_bytes if isinstance(self.toxic, Buffering) else HELD_BYTES_MAX
        self._timer: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._random: Random | None = None
        self._congested = self._closed = self._hit = False
        self._counting = True
        self.evidence.links_drawn += 1

    # What a toxic uses.

    @property
    def random(self) -> Random:
        if self._random is None:
            self._random = self.entry.random_for(self.link.connection.number)
        return self._random

    def forward(self, data: bytes, stamp: float) -> None:
        if self._queue:
            self._push(_Held(0.0, data, stamp, 0.0))
        elif not self._closed:
            self._pass(data, stamp)

    def hold(self, data: bytes, stamp: float, due: float, shift: float = 0.0) -> None:
        if self._counting and due > time.monotonic() + EARLY_S:  # What leaves in time was not held.
            self.hit()
            self.evidence.bytes_held += len(data)
            self.evidence.chunks_delayed += 1
        self._push(_Held(due, data, stamp, shift))

    def end(self, mark: Mark, stamp: float, due: float = 0.0, shift: float = 0.0) -> None:
        if self._queue or due > time.monotonic():
            self._push(_Held(due, mark, stamp, shift))
        elif not self._closed:
            self._pass_mark(mark, stamp + shift)

    def drop(self, data: bytes) -> None:
        self.hit()
        self.evidence.bytes_dropped += len(data)

    def cut(self) -> None:
        if self._closed:
            return
        self.hit()
        self.evidence.connections_closed += 1
        self.link.connection.blame_toxic()
        stamp = time.monotonic()
        self._release()
        self._closed = True
        self._pass_mark(Mark.CUT, stamp)

    def reset(self) -> None:
        if self._closed:
            return
        self.hit()
        self.evidence.connections_reset += 1
        self._closed = True
        self.link.connection.blame_toxic()
        self.link.connection.reset()

    def alarm(self, delay_s: float, then: Callable[[], None]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.link.loop.call_later(min(max(delay_s, 0.0), FAR_S), then)

    def hit(self) -> None:
        if not self._hit:
            self._hit = True
            self.evidence.links_hit += 1

    # What a toxic that knows HTTP uses besides.

    @property
    def tap(self) -> Tap | None:
        return self.link.connection.tap

    def held_before(self) -> int | None:
        return self.link.held_before(self)

    def answer(self, ordinal: int, answer: Answer, status: int, retry_after_s: float | None) -> None:
        self.hit()
        self.evidence.answers_made += 1
        self.link.connection.answer(ordinal, answer, status, retry_after_s)

    def leave_link(self) -> None:
        self.link.leave(self)

    # What the link uses.

    def feed(self, data: bytes, stamp: float) -> None:
        """Take a chunk that the link has carried since `stamp`."""
        if self._closed:
            self.evidence.bytes_dropped += len(data)
        else:
            self.toxic.feed(self, data, stamp)

    def feed_mark(self, mark: Mark, stamp: float) -> None:
        """Take the end of the stream."""
        if self._closed:
            return
        if isinstance(self.toxic, Ending):
            self.toxic.end(self, mark, stamp)
        else:
            self.end(mark, stamp)

    @property
    def held_bytes(self) -> int:
        """How much is held here."""
        return self._held_bytes

    def start(self) -> None:
        """Begin, or begin again with other attributes."""
        if isinstance(self.toxic, Starting):
            self.toxic.start(self)

    def update(self, new: Toxic) -> None:
        """Go on with other attributes; what is held is judged again by them."""
        held = self._take_all()
        if self._alarm is not None:
            self._alarm.cancel()
        self.toxic = new
        self._slicing = new if isinstance(new, Slicing) else None
        self._counting = False
        self.start()
        for entry in held:
            if isinstance(entry.item, Mark):
                self.feed_mark(entry.item, entry.stamp)
            elif isinstance(new, Holding):
                new.hold_again(self, bytes(entry.item), entry.stamp)
            else:
                self.feed(bytes(entry.item), entry.stamp)
        self._counting = True

    def leave(self) -> None:
        """Let go of everything at once, in order; the link has already been told to go around this stub."""
        if isinstance(self.toxic, Cleaning):
            self.toxic.clean_up(self)
        self._release()
        self.close()

    def close(self) -> None:
        """Stop for good; what is held is lost."""
        self._take_all()
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    # How it works.

    def _pass(self, data: bytes, stamp: float) -> None:
        if self.next is None:
            self.link.write(data)
        else:
            self.next.feed(data, stamp)

    def _pass_mark(self, mark: Mark, stamp: float) -> None:
        if self.next is None:
            self.link.finish(mark)
        else:
            self.next.feed_mark(mark, stamp)

    def _push(self, held: _Held) -> None:
        if self._queue and held.due < self._queue[-1].due:
            held = held._replace(due=self._queue[-1].due)
        self._queue.append(held)
        if not isinstance(held.item, Mark):
            self._held_bytes += len(held.item)
            if self._held_bytes > self._limit and not self._congested:
                self._congested = True
                self.link.congest(1)
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        due = self._queue[0].due
        if due != math.inf:
            delay_s = min(due - time.monotonic(), FAR_S)
            delay_ms = max(round(delay_s * 1000), 1) if delay_s > EARLY_S else 0
            self._timer = self.link.loop.call_later(delay_ms / 1000, self._pump)

    def _pump(self) -> None:
        self._timer = None
        until = time.monotonic() + EARLY_S
        queue = self._queue
        while queue and queue[0].due <= until:
            self._let_go(queue.popleft())
            if self._slicing is not None:
                break  # The event loop writes between two rounds, so each piece is a segment of its own.
        if queue and self._timer is None:
            self._arm()
        self._relieve()

    def _let_go(self, held: _Held) -> None:
        if isinstance(held.item, Mark):
            self._pass_mark(held.item, held.stamp + held.shift)
            return
        item = held.item
        if self._slicing is not None:
            size, delay_s = self._slicing.piece(self)
            if size < len(item):
                self.hit()
                self.evidence.chunks_cut += 1
                self._queue.appendleft(held._replace(item=memoryview(item)[size:]))
                item = memoryview(item)[:size]
            if self._queue:
                self._queue[0] = self._queue[0]._replace(due=max(self._queue[0].due, held.due + delay_s))
        self._held_bytes -= len(item)
        self._pass(bytes(item), held.stamp + held.shift)

    def _release(self) -> None:
        """Pass everything that is held at once, in as few chunks as there are marks between."""
        run: list[bytes | memoryview] = []
        stamp = 0.0
        for held in self._take_all():
            stamp = held.stamp
            if isinstance(held.item, Mark):
                if run:
                    self._pass(b"".join(run), stamp)
                    run = []
                self._pass_mark(held.item, stamp)
            else:
                run.append(held.item)
        if run:
            self._pass(b"".join(run), stamp)

    def _take_all(self) -> list[_Held]:
        held = list(self._queue)
        self._queue.clear()
        self._held_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._relieve()
        return held

    def _relieve(self) -> None:
        if self._congested and self._held_bytes <= self._limit // 2:
            self._congested = False
            self.link.congest(-1)
