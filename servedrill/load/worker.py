"""One load worker: ``python -m servedrill.load.worker``, a process of its own that only keeps its schedule.

    stdin   a Job, then commands       stdout   {"ready": true}, then a status every 0.25 s
    the records and this worker's health go straight to the history file

It must never outlive its parent: the kernel kills it when the thread that started it is gone (the load sees to that
when it starts one), and the end of its stdin ends it too. Ctrl-C is the parent's business.
"""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import stat
import sys
from pathlib import Path
from typing import NoReturn

import msgspec
import uvloop

from servedrill.errors import ExitCode, UsageError
from servedrill.history.events import LoadHealth, Observed, RequestRecord
from servedrill.history.journal import Journal
from servedrill.history.measurements import NOT_FIRST
from servedrill.host.clock import NS, now_ns
from servedrill.load.client import Client
from servedrill.load.dispatch import Dispatcher
from servedrill.load.health import CpuMeter, LagMeter, counts_ms, p99_s, settle_gc
from servedrill.load.messages import Command, Job, Status
from servedrill.secrecy.crashes import hide_crashes
from servedrill.secrecy.known import KNOWN

_FLUSH_S = 0.05
_STATUS_S = 0.25
_HEALTH_S = 1.0
_OLDER_EVERY = 10
"""Young garbage is collected with every health event, what is a little older with every tenth; the oldest never."""


class Worker:
    """Runs a job's share of the plan on the running loop."""

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop, *, refused: str = "") -> None:
        """``refused``: why the system does not let this process go first."""
        self._job, self._loop = job, loop
        self._journal = Journal(Path(job.journal))
        self._unwritten: list[RequestRecord | LoadHealth | Observed] = []
        self._client = Client(job.plan, loop, on_record=self._unwritten.append, worker=job.worker)
        self._dispatcher = Dispatcher(job.plan, self._client, share=job.worker, shares=job.workers)
        self._over: asyncio.Future[None] = loop.create_future()
        self._lags, self._cpu, self._status_cpu = LagMeter(loop), CpuMeter(), CpuMeter()
        self._started = False
        self._beats = 0
        self._drain_until_ns: int | None = None
        self._health_lags: list[int] = []
        self._health_sends: list[int] = []
        self._health_before = (0, 0)
        self._resolver_failures = 0
        self._status_before = (now_ns(), 0)
        self._input = b""
        if refused:
            self._unwritten.append(Observed(t_ns=now_ns(), name=NOT_FIRST, value=1, detail={"because": refused}))
        loop.set_exception_handler(self._on_exception)

    async def run(self) -> None:
        """Until the plan is done or the parent says so."""
        self._loop.add_reader(0, self._read)
        say(Status(ready=True))
        try:
            await self._over
            self._tick_health()
        finally:
            self._flush()
        say(self._status(finished=True), within_s=1.0)

    # -- the parent

    def _read(self) -> None:
        data = os.read(0, 65536)
        if not data:  # the parent is gone: nobody will ask for what is in flight
            self._flush()
            os._exit(ExitCode.INTERRUPTED)
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._obey(msgspec.json.decode(line, type=Command))

    def _obey(self, command: Command) -> None:
        if command.cmd == "start" and not self._started:
            self._start(command.t0_ns)
        elif command.cmd == "stop":
            self._dispatcher.stop()
            self._drain_until_ns = now_ns() + int(command.drain_s * NS)
            self._look()
            if self._started:
                self._loop.call_later(max(0.0, command.drain_s), self._look)
        elif command.cmd == "abort":
            self._dispatcher.stop()
            self._client.hang_up()
            self._finish()

    def _start(self, t0_ns: int) -> None:
        self._started = True
        settle_gc()
        self._lags.take()
        self._cpu.take()
        self._dispatcher.start(t0_ns or now_ns())
        self._every(_FLUSH_S, self._look)
        self._every(_STATUS_S, self._tick_status)
        self._every(_HEALTH_S, self._tick_health)

    # -- time

    def _every(self, interval_s: float, action: object) -> None:
        assert callable(action)
        due_ns = now_ns()

        def run() -> None:
            nonlocal due_ns
            if self._over.done():
                return
            action()
            due_ns = max(due_ns + int(interval_s * NS), now_ns())
            self._loop.call_later((due_ns - now_ns()) / NS, run)

        due_ns += int(interval_s * NS)
        self._loop.call_later(interval_s, run)

    def _look(self) -> None:
        """Write what has ended; see whether this is the end."""
        self._flush()
        if self._client.calls and self._drain_until_ns is not None and now_ns() >= self._drain_until_ns:
            self._client.stop()
        if self._dispatcher.finished and not self._client.calls:
            self._finish()

    def _finish(self) -> None:
        self._client.pool.close()
        if not self._over.done():
            self._over.set_result(None)

    def _flush(self) -> None:
        if self._unwritten:
            self._journal.append(*self._unwritten)
            self._unwritten.clear()

    def _tick_status(self) -> None:
        say(self._status())

    def _status(self, *, finished: bool = False) -> Status:
        client = self._client
        self._take_lags()
        now, tokens, (before_ns, tokens_before) = now_ns(), client.tokens, self._status_before
        self._status_before = (now, tokens)
        return Status(
            ready=True,
            finished=finished,
            planned=self._dispatcher.planned(),
            sent=client.sent,
            done=client.done,
            failed=dict(client.failed),
            cancelled=client.cancelled,
            in_flight=len(client.calls),
            tokens_per_s=(tokens - tokens_before) * NS / max(1, now - before_ns),
            loop_lag_s_p99=p99_s(self._health_lags),
            send_lag_s_p99=p99_s(self._health_sends),
            cpu_ratio=self._status_cpu.take(),
            connections_opened=client.pool.opened,
            connections_reused=client.pool.reused,
            resolver_failures=client.addresses.failures,
        )

    def _tick_health(self) -> None:
        client = self._client
        self._take_lags()
        planned, sent = self._dispatcher.planned(), client.sent
        health = LoadHealth(
            t_ns=now_ns(),
            worker=self._job.worker,
            planned=planned - self._health_before[0],
            sent=sent - self._health_before[1],
            in_flight=len(client.calls),
            loop_lags_ms=counts_ms(self._health_lags),
            send_lags_ms=counts_ms(self._health_sends),
            cpu_ratio=self._cpu.take(),
        )
        self._unwritten.append(health)
        self._health_before = (planned, sent)
        self._health_lags, self._health_sends = [], []
        if client.addresses.failures != self._resolver_failures:
            self._resolver_failures = client.addresses.failures
            seen = Observed(
                t_ns=now_ns(), name="load.resolver_failures", value=self._resolver_failures, unit="failures"
            )
            self._unwritten.append(seen)
        self._beats += 1
        gc.collect(0 if self._beats % _OLDER_EVERY else 1)

    def _take_lags(self) -> None:
        self._health_lags += self._lags.take()
        self._health_sends += self._dispatcher.send_lags_ns
        self._dispatcher.send_lags_ns.clear()

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if not self._over.done():
            self._over.set_exception(
                error if isinstance(error, Exception) else RuntimeError(str(context.get("message")))
            )


def say(status: Status, *, within_s: float = 0.0) -> None:
    """Write a status line, or drop it when the parent does not read: a full pipe must not hold up the streams."""
    line = msgspec.json.encode(status) + b"\n"
    try:
        if within_s:
            select.select([], [1], [], within_s)
        os.write(1, line)  # shorter than PIPE_BUF, so all of it or nothing
    except BlockingIOError:
        pass
    except BrokenPipeError:
        os._exit(ExitCode.INTERRUPTED)


def main() -> NoReturn:
    """Read the job, run it, and leave with an exit code of this package."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if stat.S_ISFIFO(os.fstat(1).st_mode):
        os.set_blocking(1, False)
    try:
        job = msgspec.json.decode(_first_line(), type=Job)
        KNOWN.learn(*job.secrets)
        hide_crashes()
        refused = take_precedence()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(job, refused))
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    except OSError as error:  # the disk is full, or its folder is gone
        print(KNOWN.hidden(str(error)), file=sys.stderr)
        sys.exit(ExitCode.INTERNAL)
    sys.exit(ExitCode.PASSED)


def take_precedence() -> str:
    """Run before what is measured, as a real-time process, where the system permits it; else why it does not.

    A niceness is not enough: with sched_autogroup it counts only within a session, and every process of a stack has a
    session of its own. Measured on two cores beside two busy processes: p99 of the lag 26 ms with a niceness of -10,
    0.1 ms with SCHED_RR. The kernel keeps 5% of the time for everybody else.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError as error:  # no privilege, or a filter of system calls
        return error.strerror or str(error)
    return ""


async def _run(job: Job, refused: str) -> None:
    await Worker(job, asyncio.get_running_loop(), refused=refused).run()


def _first_line() -> bytes:
    """The job, read without a buffer so that no command after it is lost."""
    parts: list[bytes] = []
    while not (parts and parts[-1].endswith(b"\n")):
        data = os.read(0, 1 << 20)
        if not data:
            sys.exit(ExitCode.INTERRUPTED)
        parts.append(data)
    return b"".join(parts)


if __name__ == "__main__":
    main()
