"""Starts every request at its instant, whatever has become of those before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import takewhile

from servedrill.host.clock import NS, now_ns
from servedrill.load.arrivals import Users
from servedrill.load.call import Call
from servedrill.load.client import Client
from servedrill.load.plan import LoadPlan
from servedrill.load.schedule import ClassSchedule, PlannedRequest, requests

_AHEAD = 1024
"""How many requests are kept ready, bytes and all, so that making them delays none."""
_PREPARE_GUARD_S = 0.002
"""Nothing is prepared when a request is due within this time."""
_AT_ONCE = 64
"""How many requests are sent before the loop has its turn."""
_PREPARE_FIRST_NS = 40_000_000
"""How long making requests may hold up the start."""
_AFTER_FAILURE_S = 0.1
"""The least that a user waits after a failure."""


class Dispatcher:
    """One worker's share of a plan, on its loop's timers."""

    def __init__(self, plan: LoadPlan, client: Client, *, share: int = 0, shares: int = 1) -> None:
        self._sent = 0
        self.send_lags_ns: list[int] = []
        """How late each request was sent; emptied by whoever reads it."""
        self._client, self._loop = client, client.loop
        self._until_s = plan.duration_s
        self._source: Iterator[PlannedRequest] | None = requests(plan, share=share, shares=shares)
        self._ready: deque[Call] = deque()
        self._t0_ns = 0
        self._stopped = False
        self._users = [
            (ClassSchedule(plan, cls), user)
            for cls in plan.classes
            if isinstance(cls.arrivals, Users)
            for user in range(share, cls.arrivals.users, shares)
        ]
        self._turns: dict[str, tuple[ClassSchedule, int, int]] = {}
        """By request id: who asked it, and in which turn."""
        self._thinking = 0
        client.on_over = self._answered
        until_ns = now_ns() + _PREPARE_FIRST_NS
        while len(self._ready) < _AHEAD and now_ns() < until_ns and self._prepare_one():
            pass

    @property
    def finished(self) -> bool:
        """Whether nothing will be sent any more."""
        return self._stopped or (self._source is None and not self._ready and not self._thinking and not self._turns)

    def start(self, t0_ns: int) -> None:
        """Anchor the schedule: offset 0 is at ``t0_ns``."""
        self._t0_ns = t0_ns
        for schedule, user in self._users:
            arrivals = schedule.cls.arrivals
            self._think(schedule, user, 0, t0_ns + int(arrivals.start_s * NS))
        self._fire()

    def planned(self) -> int:
        """Requests whose instant has come, sent or not."""
        now = now_ns()
        return self._sent + sum(1 for _ in takewhile(lambda call: self._due_ns(call) <= now, self._ready))

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped = True
        self._source = None
        self._ready.clear()

    # -- open loop

    def _fire(self) -> None:
        if self._stopped:
            return
        for _ in range(_AT_ONCE):
            if not self._ready and not self._prepare_one():
                return
            due_ns = self._due_ns(self._ready[0])
            if now_ns() < due_ns:
                break
            self._send(self._ready.popleft(), due_ns)
        else:
            self._loop.call_soon(self._fire)  # a burst lets the loop write and read in between
            return
        wait_s = (due_ns - now_ns()) / NS
        if wait_s > _PREPARE_GUARD_S and len(self._ready) < _AHEAD and self._prepare_one():
            self._loop.call_soon(self._fire)  # one at a time, so that answers are read in between
        else:
            self._loop.call_later(max(0.0, wait_s), self._fire)

    def _due_ns(self, call: Call) -> int:
        return self._t0_ns + int(call.planned.offset_s * NS)

    def _prepare_one(self) -> bool:
        planned = next(self._source, None) if self._source is not None else None
        if planned is None:
            self._source = None
            return False
        self._ready.append(self._client.prepare(planned))
        return True

    def _send(self, call: Call, due_ns: int) -> None:
        self._sent += 1
        self.send_lags_ns.append(self._client.start(call, due_ns))

    # -- closed loop

    def _think(self, schedule: ClassSchedule, user: int, turn: int, until_ns: int) -> None:
        self._thinking += 1
        self._loop.call_later(max(0, until_ns - now_ns()) / NS, self._ask, schedule, user, turn, until_ns)

    def _ask(self, schedule: ClassSchedule, user: int, turn: int, due_ns: int) -> None:
        self._thinking -= 1
        arrivals = schedule.cls.arrivals
        over_s = min((s for s in (arrivals.stop_s, self._until_s) if s is not None), default=None)
        planned = schedule.of_user(user, turn)
        if self._stopped or planned is None or (over_s is not None and due_ns >= self._t0_ns + int(over_s * NS)):
            return
        self._turns[planned.id] = (schedule, user, turn)
        call = self._client.prepare(planned)
        self._send(call, due_ns)

    def _answered(self, planned: PlannedRequest, failed: bool) -> None:
        turn = self._turns.pop(planned.id, None)
        if turn is None or self._stopped:
            return
        schedule, user, number = turn
        arrivals = schedule.cls.arrivals
        assert isinstance(arrivals, Users)
        # Without a pause, users of a stack that refuses them would ask thousands of times a second.
        pause_s = max(arrivals.think_s, _AFTER_FAILURE_S) if failed else arrivals.think_s
        self._think(schedule, user, number + 1, now_ns() + int(pause_s * NS))
