"""The client of one worker: everything that its calls share, and the counts of what became of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

from servedrill.history.events import RequestRecord
from servedrill.load.addresses import Addresses, SystemName
from servedrill.load.call import Call
from servedrill.load.encode import RequestEncoder
from servedrill.load.plan import LoadPlan, Target
from servedrill.load.pool import Pool, api_key
from servedrill.load.schedule import PlannedRequest
from servedrill.secrecy.known import KNOWN


class Client:
    """Sends planned requests and hands over a record for each when it ends."""

    def __init__(
        self,
        plan: LoadPlan,
        loop: asyncio.AbstractEventLoop,
        *,
        on_record: Callable[[RequestRecord], None],
        worker: int = 0,
    ) -> None:
        self.loop = loop
        self.seed = plan.seed
        self.addresses = _addresses(plan.target, random.Random(f"{plan.seed}/addresses/{worker}"))
        self.pool = Pool(plan.target, self.addresses, loop)
        self.calls: set[Call] = set()
        """What is under way."""
        self.sent = self.done = self.cancelled = 0
        """Requests begun and ended, and hang-ups on purpose."""
        self._tokens_done = 0
        self.failed: Counter[str] = Counter()
        self.on_over: Callable[[PlannedRequest, bool], None] | None = None
        """Told of every request that ended, and whether it failed, after its record was handed over."""
        self._on_record = on_record
        self._nonce = plan.nonce
        key = api_key(plan.target)
        KNOWN.learn(*(cls.api_key for cls in plan.classes))
        self.done_frame = plan.dialect.done
        self._classes = {
            cls.name: (cls, RequestEncoder(cls, plan.target, api_key=key, dialect=plan.dialect)) for cls in plan.classes
        }

    @property
    def tokens(self) -> int:
        """Content deltas read so far."""
        return self._tokens_done + sum(len(call.answer.stamps_ns) for call in self.calls)

    def prepare(self, planned: PlannedRequest) -> Call:
        """Make the request's bytes, well before its instant where there is time for it."""
        cls, encoder = self._classes[planned.cls]
        request_id = f"{self._nonce}-{planned.id}" if self._nonce else planned.id
        return Call(self, cls, planned, encoder.encode(planned, request_id), request_id)

    def start(self, call: Call, t_int_ns: int) -> int:
        """Send a prepared request now; return how late it was, in nanoseconds.

        A connection that has to be opened first is the stack's time, not lateness: then the first step counts.
        """
        self.sent += 1
        self.calls.add(call)
        call.start(t_int_ns)
        return (call.t_write_ns or call.t_start_ns) - t_int_ns

    def over(self, call: Call, record: RequestRecord) -> None:
        """See `servedrill.load.call.Owner`."""
        self.calls.discard(call)
        self.done += 1
        self._tokens_done += len(call.answer.stamps_ns)
        if record.cancelled_ns is not None:
            self.cancelled += 1
        elif record.failure is not None:
            self.failed[record.failure] += 1
        self._on_record(record)
        if self.on_over is not None:
            self.on_over(call.planned, record.failure is not None)

    def stop(self) -> None:
        """End what is in flight; its records say ``deadline``."""
        for call in list(self.calls):
            call.stop()
        self.pool.close()

    def hang_up(self) -> None:
        """End what is in flight; its records say that the client left."""
        for call in list(self.calls):
            call.hang_up()
        self.pool.close()


def _addresses(target: Target, rng: random.Random) -> Addresses:
    name = urlsplit(target.base_url).hostname or ""
    if target.resolver is None:
        return SystemName(name)
    from servedrill.load.resolver import DnsName  # dnspython takes 50 ms to import: only where it is asked for

    return DnsName(name, server=target.resolver, rng=rng)
