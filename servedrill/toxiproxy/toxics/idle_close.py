"""Idle close: a keep-alive connection on which nothing was asked for `idle_ms` milliseconds is closed, or reset.

Every server and load balancer does this. Whoever pools connections has to survive that the close and the next request
cross on the wire.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from servedrill.toxiproxy.toxic import HttpStub, toxic


@toxic("idle_close")
@dataclass(frozen=True, slots=True)
class IdleClose:
    """`idle_ms` is in milliseconds; `reset` closes with an RST."""

    knows_http: ClassVar[bool] = True

    idle_ms: int = 0
    reset: bool = False

    def start(self, stub: HttpStub) -> None:
        self._look(stub)

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        stub.forward(data, stamp)
        if stub.tap is not None and stub.tap.idle_since is not None:
            self._look(stub)

    def _look(self, stub: HttpStub) -> None:
        """Close if it is time, or look again when it may be."""
        since = stub.tap.idle_since if stub.tap is not None else None
        idle_s = 0.0 if since is None else time.monotonic() - since
        left_s = self.idle_ms / 1000 - idle_s
        if since is None or left_s > 0.0005:
            stub.alarm(max(left_s, 0.001), lambda: self._look(stub))
        elif self.reset:
            stub.reset()
        else:
            stub.cut()
