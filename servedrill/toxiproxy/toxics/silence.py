"""Silence: nothing comes through any more, not even the end of a connection, as from a process that was stopped.

`timeout` with 0 lets the end of a connection pass, so that idle connections close when the peer gives them up, and a
server that ends each answer with its connection is noticed at once. Of a stopped process (SIGSTOP), or a machine that
is gone without a word, nothing is heard at all. When the toxic is removed, connections that lost something are closed;
the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.toxic import Mark, Stub, toxic


class _Lost:
    """Whether anything of this link was swallowed."""

    __slots__ = ("any",)

    def __init__(self) -> None:
        self.any = False


@toxic("silence")
@dataclass(frozen=True, slots=True)
class Silence:
    """It has no attributes."""

    def new_state(self) -> _Lost:
        return _Lost()

    def feed(self, stub: Stub, data: bytes, stamp: float) -> None:
        stub.state.any = True
        stub.drop(data)

    def end(self, stub: Stub, mark: Mark, stamp: float) -> None:
        stub.state.any = True
        stub.hit()

    def clean_up(self, stub: Stub) -> None:
        if stub.state.any:
            stub.cut()
