"""The seam between a request under way and the client that it belongs to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from servedrill.history.events import RequestRecord
from servedrill.load.pool import Pool

if TYPE_CHECKING:
    from servedrill.load.call import Call


class Owner(Protocol):
    """Who a call belongs to: it gives what all calls share and takes the record."""

    loop: asyncio.AbstractEventLoop
    pool: Pool
    seed: int

    def over(self, call: Call, record: RequestRecord) -> None:
        """The call has ended."""
