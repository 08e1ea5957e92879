"""The load generator as a drill holds it: worker processes that are started, watched and never left behind.

with Load(plan, history) as load:
    load.start()
    load.wait_done(within_s=60)
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from servedrill import _version
from servedrill.errors import ExitCode, NotInTime, ServedrillError, UsageError
from servedrill.host.clock import now_ns, wait_for
from servedrill.host.launch import tied
from servedrill.load.messages import Command, Job, Status, merged
from servedrill.load.plan import LoadPlan
from servedrill.secrecy.known import KNOWN, ending

_READY_WITHIN_S = 15.0
_START_IN_NS = 20_000_000
"""All workers begin at one instant; this is the time that the command may take to reach them."""
_EXIT_WITHIN_S = 5.0
_STDERR_TAIL_BYTES = 2000


class Load:
    """Runs a plan in worker processes; as a context manager, aborts what still runs on leaving."""

    def __init__(
        self,
        plan: LoadPlan,
        journal_path: Path | str,
        *,
        workers: int = 1,
        log_dir: Path | str | None = None,
        spare: SpareWorker | None = None,
    ) -> None:
        if workers < 1:
            raise UsageError(f"{workers} workers", where="Load", expected="1 or more")
        self.plan = msgspec.structs.replace(plan.check(), nonce=plan.nonce or secrets.token_hex(4))
        self.t0_ns: int | None = None
        """The instant of offset 0, once started."""
        self._journal_path = Path(journal_path).absolute()
        self._count = workers
        self._log_dir = Path(log_dir) if log_dir is not None else None
        self._spare = spare
        self._workers: list[WorkerProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Bring the workers up and begin; returns when the schedule has its anchor, `t0_ns`."""
        if self._workers:
            raise RuntimeError("this load was started before")
        try:
            for index in range(self._count):
                worker = self._spare.take() if self._spare and index == 0 else None
                self._workers.append(worker or WorkerProcess(f"load-worker-{index}", self._log_dir))
            for index, worker in enumerate(self._workers):
                worker.give(self._job(index))
            for worker in self._workers:
                worker.wait_ready()
            self.t0_ns = now_ns() + _START_IN_NS
            self._tell(Command(cmd="start", t0_ns=self.t0_ns))
        except BaseException:
            self.close()
            raise

    def status(self) -> Status:
        """The latest counts of all workers together; raises `ServedrillError` when one of them broke."""
        for worker in self._workers:
            worker.check()
        return merged([worker.status for worker in self._workers])

    @property
    def sent(self) -> int:
        """Requests begun so far, at most 0.25 s old."""
        return self.status().sent

    @property
    def in_flight(self) -> int:
        """Requests under way, at most 0.25 s old."""
        return self.status().in_flight

    @property
    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [worker.pid for worker in self._workers]

    def stop(self, *, drain_s: float = 30.0) -> Status:
        """Send nothing more, give what is in flight ``drain_s``, end the rest (``deadline``); the last counts."""
        self._tell(Command(cmd="stop", drain_s=drain_s))
        self._wait_exit(drain_s + _EXIT_WITHIN_S, what=f"load workers to end after {drain_s:g} s of draining")
        return self.status()

    def abort(self) -> Status:
        """Hang up on everything at once (recorded as cancelled); the last counts."""
        self._tell(Command(cmd="abort"))
        self._wait_exit(_EXIT_WITHIN_S, what="load workers to end after an abort")
        return self.status()

    def wait_done(self, *, within_s: float) -> Status:
        """Wait for a bounded plan to come to its end; the last counts. Raises `NotInTime`."""
        if not self.plan.bounded:
            raise UsageError(
                "this plan has no end", where="plan", expected="duration_s, or a count or stop_s for every class"
            )
        self._wait_exit(within_s, what="the load to be done")
        return self.status()

    def close(self) -> None:
        """Leave no process behind, whatever state they are in; safe to call again."""
        with contextlib.suppress(NotInTime):
            if any(worker.running for worker in self._workers):
                self._tell(Command(cmd="abort"))
                self._wait_exit(_EXIT_WITHIN_S, what="load workers to end")
        for worker in self._workers:
            worker.kill()

    def _job(self, index: int) -> Job:
        path = str(self._journal_path)
        return Job(plan=self.plan, journal=path, worker=index, workers=self._count, secrets=KNOWN.secrets)

    def _tell(self, command: Command) -> None:
        line = msgspec.json.encode(command) + b"\n"
        for worker in self._workers:
            worker.tell(line)

    def _wait_exit(self, within_s: float, *, what: str) -> None:
        def over() -> bool:
            return not any(worker.running for worker in self._workers)

        try:
            wait_for(over, what=what, within_s=within_s)
        except NotInTime as error:
            parts = [worker.status for worker in self._workers]
            state = merged(parts)
            raise NotInTime(
                what=f"{what} ({state.in_flight} in flight, {state.sent} sent)", waited_s=error.waited_s
            ) from None


class SpareWorker:
    """A worker that is up before it is needed, since a new process takes half a second to begin."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._made = 0
        self._worker: WorkerProcess | None = None

    def prepare(self) -> None:
        """Start one unless one is waiting."""
        if self._worker is None:
            self._worker = WorkerProcess(f"load-worker-{self._made}", self._log_dir)
            self._made += 1

    def take(self) -> WorkerProcess:
        """The one that is waiting, or a new one."""
        self.prepare()
        worker, self._worker = self._worker, None
        assert worker is not None
        return worker

    def close(self) -> None:
        """End the one that nobody needed."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None


class WorkerProcess:
    """One worker: its process, its latest status and, when it broke, why."""

    def __init__(self, name: str, log_dir: Path | None) -> None:
        self.status = Status()
        self._name = name
        self._said = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = threading.Event()
        self._over = threading.Event()
        self._failure: BaseException | None = None
        # The kernel ends a worker with the thread that started it, so that thread has to last as long as the worker.
        self._thread = threading.Thread(target=self._watch, args=(log_dir,), name=self._name, daemon=True)
        self._thread.start()
        self._begun.wait()
        if self._failure is not None:
            raise ServedrillError(f"{self._name} cannot be started: {self._failure}") from self._failure

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return not self._over.is_set()

    def give(self, job: Job) -> None:
        """Send the job; `wait_ready` waits until the worker can begin."""
        self.tell(msgspec.json.encode(job) + b"\n")

    def wait_ready(self) -> None:
        """Wait until the worker can begin; raises `NotInTime`, or what it ended with."""
        until = time.monotonic() + _READY_WITHIN_S
        while not self.status.ready:
            self.check()
            if self._over.is_set() or time.monotonic() > until:
                raise NotInTime(what=f"{self._name} to be ready", waited_s=_READY_WITHIN_S)
            time.sleep(0.002)

    def tell(self, line: bytes) -> None:
        """Write one line to the worker; nothing happens where it has ended."""
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended; `check` says how
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def check(self) -> None:
        """Raise `UsageError` or `ServedrillError` with what the worker said, if it ended badly."""
        if not self._over.is_set() or self._process is None:
            return
        code = self._process.returncode
        if code == ExitCode.PASSED:
            return
        if code == ExitCode.USAGE:
            raise UsageError(self._said)
        raise ServedrillError(f"{self._name} ended with exit status {code}: {self._said or 'it said nothing'}")

    def kill(self) -> None:
        """End the process at once and wait for it."""
        if self._process is not None and not self._over.is_set():
            self._process.kill()
        self._thread.join(_EXIT_WITHIN_S)

    def _watch(self, log_dir: Path | None) -> None:
        """Start the process and read its status until it ends."""
        try:
            stderr = _log_file(log_dir, self._name)
            process = subprocess.Popen(
                tied([sys.executable, "-m", "servedrill.load.worker"]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=package_environment(),
                process_group=0,  # Ctrl-C at the terminal is for the parent, which then stops its workers in order
            )
        except OSError as error:
            self._failure = error
            self._over.set()
            self._begun.set()
            return
        self._process = process
        self._begun.set()
        assert process.stdin is not None and process.stdout is not None
        try:
            for line in process.stdout:
                with contextlib.suppress(msgspec.MsgspecError):
                    self.status = msgspec.json.decode(line, type=Status)
        finally:
            process.wait()
            process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            with stderr:
                begun = max(0, stderr.seek(0, os.SEEK_END) - 2 * _STDERR_TAIL_BYTES)
                stderr.seek(begun)
                said = stderr.read().decode(errors="replace")
                self._said = ending(said.partition("\n")[2] if begun else said, _STDERR_TAIL_BYTES).strip()
            self._over.set()


def _log_file(log_dir: Path | None, name: str) -> IO[bytes]:
    if log_dir is None:
        return tempfile.TemporaryFile()  # closed with the worker
    log_dir.mkdir(parents=True, exist_ok=True)
    return (log_dir / f"{name}.log").open("w+b")


def package_environment() -> dict[str, str]:
    """The parent's environment, with this very package first on the path whatever the working directory is."""
    root = str(Path(_version.__file__).parent.parent)
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
