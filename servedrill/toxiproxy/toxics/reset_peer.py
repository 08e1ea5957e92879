"""Reset peer: the connection gets an RST on both sides, `timeout` milliseconds after its first bytes.

A connection that was open when the toxic came is reset that long after the toxic came, whether it talks or not: pooled
idle connections are the ones that such a fault hurts most. Nothing passes meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.toxic import Mark, Stub, toxic


class _Fuse:
    """Whether the time has begun to run."""

    __slots__ = ("lit",)

    def __init__(self) -> None:
        self.lit = False


@toxic("reset_peer")
@dataclass(frozen=True, slots=True)
class ResetPeer:
    """`timeout` is in milliseconds."""

    timeout: int = 0

    def new_state(self) -> _Fuse:
        return _Fuse()

    def start(self, stub: Stub) -> None:
        if stub.live_before or stub.state.lit:
            self._light(stub)

    def feed(self, stub: Stub, data: bytes, stamp: float) -> None:
        stub.drop(data)
        if not stub.state.lit:
            self._light(stub)

    def end(self, stub: Stub, mark: Mark, stamp: float) -> None:
        if not stub.state.lit:
            self._light(stub)

    def clean_up(self, stub: Stub) -> None:
        if stub.state.lit:
            stub.reset()  # Bytes of this connection are gone: it cannot be handed back as if it were whole.

    def _light(self, stub: Stub) -> None:
        stub.state.lit = True
        stub.alarm(self.timeout / 1000, stub.reset)
