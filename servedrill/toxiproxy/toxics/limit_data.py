"""Limit data: exactly `bytes` bytes pass, then the connection closes. The count survives updates of the toxic."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.toxiproxy.toxic import Stub, toxic

Chunk = bytes  # The attribute `bytes` hides the type inside the class.


class _Passed:
    """How many bytes of this link went through."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


@toxic("limit_data")
@dataclass(frozen=True, slots=True)
class LimitData:
    """`bytes` counts from the start of the connection, or from when the toxic came to it."""

    bytes: int = 0

    def new_state(self) -> _Passed:
        return _Passed()

    def feed(self, stub: Stub, data: Chunk, stamp: float) -> None:
        passed: _Passed = stub.state
        left = max(self.bytes - passed.count, 0)
        if left:
            stub.forward(data[:left], stamp)
            passed.count += min(len(data), left)
        if len(data) >= left:
            if len(data) > left:
                stub.drop(data[left:])
            stub.cut()
