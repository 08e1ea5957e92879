"""One direction of one connection: bytes from a source, through the stubs of the toxics that drew it, to a sink.

               plain link: straight through, no timer, no task
            ┌──────────────────────────────────────────────────┐
    source ─┤                                                  ├─> sink.write
            └─> stub(latency) ─> stub(bandwidth) ─> stub(...) ─┘
                    │ holds          │ holds
                    └── too much held, or the sink is full: source.pause_reading

    Each stub runs one toxic for this link alone. The end of the stream travels the same way as a mark behind the data:
    EOF closes one direction (half-close), CUT closes the connection.

Toxics come and go on a live link; only those that this connection drew have a stub in it. Where each of them stands: a
drawing in docs/design/toxic-chain.md.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from servedrill.toxiproxy.entry import Entry
from servedrill.toxiproxy.stub import Carrier, LinkStub
from servedrill.toxiproxy.toxic import Lingering, Mark
from servedrill.toxiproxy.view import View


class Owner(Carrier, Protocol):
    """The connection, as its links see it."""

    loop: asyncio.AbstractEventLoop

    def link_finished(self, link: Link, mark: Mark) -> None:
        """The end of the stream has come out of a link."""


class End(Protocol):
    """A side of the connection, as the links between both sides see it."""

    is_open: bool
    transport: asyncio.Transport

    def hold_reading(self, hold: bool) -> None:
        """Stop reading, or go on."""


class Link:
    """The pipeline of one direction."""

    __slots__ = (
        "_congestion", "_sink_full", "_waiting", "connection", "direction", "finished", "loop", "received", "sent",
        "sink", "source", "stubs",
    )  # fmt: skip

    def __init__(self, connection: Owner, direction: str, source: End, sink: End) -> None:
        self.connection = connection
        self.direction = direction
        self.source = source
        self.sink = sink
        self.loop = connection.loop
        self.stubs: list[LinkStub] = []
        self.received = 0
        self.sent = 0
        self.finished = False
        self._congestion = 0
        self._sink_full = False
        self._waiting: list[LinkStub] = []

    # Data.

    def feed(self, data: bytes) -> None:
        """Take a chunk from the source."""
        if self.stubs:
            self.stubs[0].feed(data, time.monotonic())
            if self._waiting:
                self.join_views()
        else:
            self.write(data)

    def feed_mark(self, mark: Mark) -> None:
        """Take the end of the stream from the source."""
        if self.stubs:
            self.stubs[0].feed_mark(mark, time.monotonic())
        else:
            self.finish(mark)

    def write(self, data: bytes) -> None:
        """What comes out of the last stub."""
        if data and not self.finished and self.sink.is_open:
            self.sent += len(data)
            self.sink.transport.write(data)

    def finish(self, mark: Mark) -> None:
        """The end came out of the last stub."""
        if not self.finished:
            self.finished = True
            self.connection.link_finished(self, mark)

    def abandon(self) -> None:
        """The sink is gone: whatever is still on its way has nowhere to go."""
        self.finished = True
        stubs, self.stubs = self.stubs, []
        for stub in stubs:
            stub.close()

    # Flow control.

    def congest(self, by: int) -> None:
        """Count the stubs that hold too much: one more (1), or one less (-1)."""
        self._congestion += by
        self.flow()

    def sink_full(self, full: bool) -> None:
        """The sink takes no more for now, or takes it again."""
        self._sink_full = full
        self.flow()

    def flow(self) -> None:
        """Slow the source down while a stub or the sink has more than it can take."""
        self.source.hold_reading((self._congestion > 0 or self._sink_full) and not self.finished)

    # Toxics.

    def join(self, entry: Entry, index: int, *, live_before: bool) -> None:
        """Put a toxic in, at its place among those that are already here."""
        stub = LinkStub(self, entry, live_before=live_before)
        stub.next = self.stubs[index] if index < len(self.stubs) else None
        if index:
            self.stubs[index - 1].next = stub
        self.stubs.insert(index, stub)
        stub.start()
        if isinstance(stub.state, View) and not stub.state.has_joined:
            self._waiting.append(stub)

    def join_views(self) -> None:
        """Let toxics that wait for a boundary in the stream begin, where it has come."""
        for stub in self._waiting:
            if stub in self.stubs:
                stub.state.join(stub)
        self._waiting = [stub for stub in self._waiting if stub in self.stubs and not stub.state.has_joined]

    def retire(self, stub: LinkStub) -> None:
        """Take a toxic out, now or as soon as it can go; what it held goes on at once."""
        successor = stub.toxic.successor(stub) if isinstance(stub.toxic, Lingering) else None
        if successor is None:
            self.leave(stub)
        else:
            stub.update(successor)

    def leave(self, stub: LinkStub) -> None:
        """Take a toxic out now."""
        if stub in self.stubs:
            index = self.stubs.index(stub)
            if index:
                self.stubs[index - 1].next = stub.next
            del self.stubs[index]
        stub.leave()

    def held_before(self, stub: LinkStub) -> int | None:
        """How many bytes the stubs before this one hold; None where that cannot be known now."""
        held = 0
        for before in self.stubs:
            if before is stub:
                return held
            if isinstance(before.state, View) and (held or not before.state.is_clean):
                return None  # It frames bodies anew: what it has not read yet will have another length behind it.
            held += before.held_bytes
        return None

    def stub_of(self, entry: Entry) -> LinkStub | None:
        """The stub of a toxic; None where this connection did not draw it."""
        for stub in self.stubs:
            if stub.entry is entry:
                return stub
        return None
