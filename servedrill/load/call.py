"""One request's life: connect, write, read, perhaps wait and try again, and the record that it leaves.

    start -> connecting -> waiting -> (backoff -> connecting ...) -> record
    at any point: the deadline, or a hang-up on purpose

There is one timer a request. It is armed for the earliest thing that could become due and looks again when it fires, so
a token that arrives touches no timer.
"""

from __future__ import annotations

import asyncio
import random
from enum import Enum, auto
from typing import Protocol

from servedrill.dialect import openai
from servedrill.history.events import Attempt, CancelPlan, RequestRecord
from servedrill.host.clock import NS, now_ns
from servedrill.load.alarm import Alarm
from servedrill.load.answer import Answer, Ending
from servedrill.load.plan import RequestClass
from servedrill.load.pool import Pool
from servedrill.load.protocol import Connection, Sink
from servedrill.load.record import header, request_record
from servedrill.load.retry import backoff_s, worth_retrying
from servedrill.load.schedule import PlannedRequest

_REQUEST_ID, _RETRY_AFTER = openai.REQUEST_ID.encode(), openai.RETRY_AFTER.encode()
_SERVED_BY, _SERVED_VIA = openai.SERVED_BY.encode(), openai.SERVED_VIA.encode()
_NEVER = 1 << 62
_SECONDS_PER_TOKEN = 0.02
"""Where a request that does not stream hangs up when its plan counts tokens."""


class Owner(Protocol):
    """Who a call belongs to: it gives what all calls share and takes the record."""

    loop: asyncio.AbstractEventLoop
    pool: Pool
    seed: int
    done_frame: bool
    """Whether streams end with ``[DONE]``."""

    def over(self, call: Call, record: RequestRecord) -> None:
        """The call has ended."""


class _Phase(Enum):
    CONNECTING = auto()
    WAITING = auto()
    BACKOFF = auto()
    OVER = auto()


class Call:
    """A planned request that is under way."""

    __slots__ = (
        "_address",
        "_alarm",
        "_connect",
        "_connection",
        "_deadline_ns",
        "_hangup_deltas",
        "_hangup_ns",
        "_owner",
        "_phase",
        "_phase_due_ns",
        "_request",
        "_request_id",
        "_response",
        "_t_attempt_ns",
        "answer",
        "attempts",
        "cancel",
        "cls",
        "planned",
        "t_int_ns",
        "t_start_ns",
        "t_write_ns",
    )

    def __init__(
        self, owner: Owner, cls: RequestClass, planned: PlannedRequest, request: bytes, request_id: str
    ) -> None:
        self.cls, self.planned = cls, planned
        self.t_int_ns = self.t_start_ns = 0
        self.t_write_ns: int | None = None
        """When a request was first written; None when none ever was."""
        self._owner, self._request, self._request_id = owner, request, request_id
        self.attempts: list[Attempt] = []
        self.cancel: CancelPlan | None = planned.cancel
        self._response: dict[bytes, bytes] = {}
        self._connect: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._alarm = Alarm(owner.loop, self._tick)
        self._hangup_ns = self._phase_due_ns = _NEVER
        self._hangup_deltas: int | None = None
        self._phase = _Phase.OVER

    # -- for the client

    def start(self, t_int_ns: int) -> None:
        """Begin now; ``t_int_ns`` is the instant at which it should have begun."""
        self.t_int_ns, self.t_start_ns = t_int_ns, now_ns()
        self._deadline_ns = self.t_start_ns + int(self.cls.deadline_s * NS)
        plan = self.cancel
        if plan is not None and plan.at == "after_s":
            self._hangup_ns = self.t_start_ns + int(plan.after_s * NS)
        elif plan is not None and plan.at == "tokens" and self.planned.stream:
            self._hangup_deltas = plan.tokens
        self._try()

    def stop(self) -> None:
        """End now as if the deadline had passed."""
        self._give_up("deadline")

    def hang_up(self) -> None:
        """End now on purpose: the record says that the client left, whatever was planned."""
        now = now_ns()
        self.cancel = CancelPlan(at="after_s", after_s=(now - self.t_start_ns) / NS)
        self._leave(now)

    # -- for the connection: see `servedrill.load.protocol.Exchange`

    def head(self, status: int, headers: dict[bytes, bytes]) -> Sink:
        """The head is in: note it, and say who takes the body."""
        self.answer.status = status
        self.answer.request_id = headers.get(_REQUEST_ID)
        self._response = headers
        if self.cls.idle_timeout_s is not None:
            self._arm()
        return self.answer.feed_stream if status == 200 and self.planned.stream else self.answer.feed

    def ended(self, ending: Ending) -> None:
        """The response is whole or the connection is gone: end this try, and perhaps begin another."""
        connection = self._connection
        assert connection is not None
        self.answer.met = self.answer.met or connection.met
        if ending == "complete" and connection.reusable() and self.cls.keep_alive:
            self._connection = None
            self._owner.pool.give(connection)  # first, so that whoever asks next finds it
            self._close_attempt(ending)
        else:
            self._close_attempt(ending)
            connection.abort()

    # -- tries

    def _try(self) -> None:
        self._t_attempt_ns = now_ns()
        self.answer = Answer(
            stream=self.planned.stream,
            n=self.planned.n,
            tokens_max=self.planned.max_tokens,
            done=self._owner.done_frame,
            leave_at=self._hangup_deltas,
            leave=self._leave,
        )
        self._response = {}
        self._address = self._owner.pool.unresolved
        own = not self.cls.keep_alive or self.cls.slow_reader_bytes_per_s is not None
        connection = None if own else self._owner.pool.take()
        if connection is not None:
            self._write(connection)
            return
        self._phase = _Phase.CONNECTING
        self._phase_due_ns = self._t_attempt_ns + int(self.cls.connect_timeout_s * NS)
        self._connect = self._owner.loop.create_task(self._open())
        self._arm()

    async def _open(self) -> None:
        pool = self._owner.pool
        try:
            host = await pool.pick()
            self._address = pool.at(host)
            connection = await pool.connect(host, bytes_per_s=self.cls.slow_reader_bytes_per_s)
        except OSError:  # refused, unreachable, no address, a handshake that failed
            self._connect = None
            if self._phase is _Phase.CONNECTING:
                self._close_attempt("connect")
            return
        self._connect = None
        if self._phase is not _Phase.CONNECTING:
            connection.abort()
        elif connection.closed:
            self._close_attempt(connection.loss)
        else:
            self._write(connection)

    def _write(self, connection: Connection) -> None:
        cls = self.cls
        self._connection, self._address, self._phase = connection, connection.address, _Phase.WAITING
        self._t_attempt_ns = now = now_ns()
        if self.t_write_ns is None:
            self.t_write_ns = now
        connection.request(self, self._request)
        patient = cls.first_token_timeout_s is None or not self.planned.stream
        self._phase_due_ns = _NEVER if patient else now + int((cls.first_token_timeout_s or 0) * NS)
        plan = self.cancel
        if plan is not None and self._hangup_ns == _NEVER:
            if plan.at in ("queued", "prefill"):
                self._hangup_ns = now + int(plan.after_s * NS)
            elif plan.at == "tokens" and not self.planned.stream:
                self._hangup_ns = now + int(plan.tokens * _SECONDS_PER_TOKEN * NS)
        self._arm()

    def _close_attempt(self, ending: Ending) -> None:
        """A try is over by itself: keep what it said, and try again or end."""
        now = now_ns()
        answer, headers = self.answer, self._response
        failure = answer.finish(ending, now)
        retry_after_s = openai.retry_after_s(headers.get(_RETRY_AFTER))
        self._note_attempt(now, failure or (None if ending == "complete" else ending), retry_after_s)
        if failure is None or len(self.attempts) > self.cls.retries or not worth_retrying(failure, answer):
            self._end(now, failure)
            return
        tries = len(self.attempts)
        rng = random.Random(f"{self._owner.seed}/{self.planned.id}/{tries}")
        due_ns = now + int(backoff_s(tries, base_s=self.cls.backoff_s, retry_after_s=retry_after_s, rng=rng) * NS)
        if due_ns >= self._deadline_ns:  # nobody waits for a try that cannot begin in time
            self._end(now, failure)
            return
        self._phase, self._phase_due_ns, self._connection = _Phase.BACKOFF, due_ns, None
        self._arm()

    def _note_attempt(self, now: int, error: str | None, retry_after_s: float | None = None) -> None:
        headers = self._response
        self.attempts.append(
            Attempt(
                t_send_ns=self._t_attempt_ns,
                t_end_ns=now,
                address=self._address,
                status=self.answer.status,
                retry_after_s=retry_after_s,
                request_id=header(headers.get(_REQUEST_ID)) or self._request_id,
                served_by=header(headers.get(_SERVED_BY)),
                via=header(headers.get(_SERVED_VIA)),
                error=error,
            )
        )

    # -- time

    def _arm(self) -> None:
        """See to it that the timer fires when the next thing is due, or before."""
        self._alarm.arm(min(self._deadline_ns, self._hangup_ns, self._phase_due_ns, self._idle_due_ns()))

    def _idle_due_ns(self) -> int:
        idle_s, connection = self.cls.idle_timeout_s, self._connection
        if idle_s is None or connection is None or not connection.heard_ns:
            return _NEVER
        return connection.quiet_since_ns() + int(idle_s * NS)

    def _tick(self) -> None:
        now = now_ns()
        if now >= self._hangup_ns:
            self._hangup_ns = _NEVER
            early = self.cancel is not None and self.cancel.at in ("queued", "prefill")
            if not (early and self.answer.stamps_ns):
                self._leave(now)
                return
        if now >= self._deadline_ns:
            self._give_up("deadline")
            return
        if now >= self._phase_due_ns:
            phase, self._phase_due_ns = self._phase, _NEVER
            if phase is _Phase.BACKOFF:
                self._try()
                return
            if phase is _Phase.CONNECTING:
                self._drop()
                self._close_attempt("connect")
                return
            if not self.answer.stamps_ns:
                self._give_up("first_token_timeout")
                return
        if now >= self._idle_due_ns():
            self._give_up("idle_timeout")
            return
        self._arm()

    # -- ends

    def _give_up(self, ending: Ending) -> None:
        """The client's patience is over: no further try, whatever the policy says."""
        now = now_ns()
        if self._phase is _Phase.OVER:
            return
        if self._phase is _Phase.BACKOFF:
            self._end(now, ending)
            return
        self._drop()
        failure = self.answer.finish(ending, now)
        self._note_attempt(now, failure or ending, openai.retry_after_s(self._response.get(_RETRY_AFTER)))
        self._end(now, failure)

    def _leave(self, now: int) -> None:
        """Hang up on purpose."""
        if self._phase is _Phase.OVER:
            return
        if self._phase is not _Phase.BACKOFF:
            self._drop()
            self._note_attempt(now, "cancelled")
        self._end(now, None, cancelled_ns=now)

    def _drop(self) -> None:
        """Close whatever this try has open."""
        if self._connect is not None:
            self._connect.cancel()
            self._connect = None
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def _end(self, now: int, failure: str | None, *, cancelled_ns: int | None = None) -> None:
        self._phase, self._connection = _Phase.OVER, None
        self._alarm.close()
        record = request_record(
            self.planned,
            self.cls,
            self.answer,
            self.attempts,
            t_int_ns=self.t_int_ns,
            t_send_ns=self.t_write_ns,
            t_end_ns=now,
            failure=failure,
            cancel=self.cancel,
            cancelled_ns=cancelled_ns,
        )
        self._owner.over(self, record)
