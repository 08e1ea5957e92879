"""A drill while it runs: what a test function gets as ``drill``.

    drill.load(chat(rate=20))               traffic from now on
    drill.baseline(3)                       let it run, undisturbed
    drill.break_for(4, fault, window="x")   inject; heal afterwards, whatever happens
    drill.recover(5)
    drill.expect(Checker(window="x"))       judged at the end, over the history alone

In control mode everything happens but the faults, and everything has to be green.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from servedrill.checkers.conservation import held
from servedrill.drill.arrivals import as_recorded
from servedrill.drill.asking import Asking
from servedrill.drill.beginning import beginning
from servedrill.drill.observer import Observer
from servedrill.drill.progress import Progress
from servedrill.drill.references import Recorder
from servedrill.drill.traffic import Traffic, as_asked, at_pace, burst
from servedrill.errors import Unwatched, UsageError
from servedrill.faults.fault import Fault
from servedrill.faults.lease import leased
from servedrill.history.events import (
    DeclaredWeakness,
    DrillEnded,
    Observed,
    PhaseStarted,
    WindowClosed,
    WindowOpened,
)
from servedrill.history.guesses import plainly
from servedrill.history.journal import Journal
from servedrill.history.measurements import UNWATCHED
from servedrill.host.clock import NS, now_ns
from servedrill.leases.guard import Guard
from servedrill.load.generator import SpareWorker
from servedrill.load.lengths import Uniform
from servedrill.load.plan import RequestClass
from servedrill.runs.layout import HISTORY
from servedrill.stacks.capabilities import lacking
from servedrill.stacks.protocols import Entry, Stack

_TICK_S = 0.1


class Drill(Asking):
    """One drill on one stack, from start to end."""

    def __init__(
        self,
        stack: Stack,
        *,
        name: str,
        hypothesis: str,
        seed: int,
        control: bool,
        defects: list[str],
        folder: Path,
        guard: Guard,
        progress: Progress,
        arrivals: str | None = None,
        weaknesses: Sequence[DeclaredWeakness] = (),
        trace: str = "",
    ) -> None:
        """Begin the history in ``folder`` and the observation of the stack, which is up.

        ``arrivals`` is a recorded trace by which steady traffic comes, ``trace`` the id that requests carry.
        Raises `ServedrillError` where the stack cannot be observed.
        """
        self.stack: Any = stack
        self.name, self.seed, self.control, self.folder = name, seed, control, folder
        self.chance = random.Random(seed)
        self.journal = Journal(folder / HISTORY)
        self.append = self.journal.append
        self._guard, self._progress, self._arrivals, self._trace = guard, progress, arrivals, trace
        self._recorder = Recorder(stack, self.journal, seed=seed)
        self._traffics: list[Traffic] = []
        self._classes: set[str] = set()
        self._windows: list[str] = []
        self._settles = 0
        self._spare = SpareWorker(folder / "logs")
        self._spare.prepare()
        self.ended = False
        self.journal.append(
            *beginning(
                stack,
                name=name,
                hypothesis=hypothesis,
                seed=seed,
                control=control,
                defects=defects,
                weaknesses=weaknesses,
            )
        )
        self.observer = Observer(stack, self.journal)
        self.observer.start()

    # ---- traffic

    def load(self, *classes: RequestClass, to: str | None = None) -> Traffic:
        """Traffic of these classes from now on, where users come in or straight to one replica.

        It ends with the drill, or with ``stop``. A class that names no model asks for the stack's; one that is there to
        ask for too many choices is left out where the stack knows no choices. Raises `UsageError`
        for a class that cannot be, and for a second one of the same name.
        """
        asked = self.promises.direct_model if to in self.engines else self.model
        dialect = self.stack.spoken.dialect
        classes = as_asked(map(plainly, classes), model=asked, dialect=dialect, max_n=self.promises.max_n)
        twice = [cls.name for cls in classes if cls.name in self._classes]
        if twice:
            raise UsageError(
                f"class {twice[0]!r} twice in one drill", where=self.name, expected="a name of its own for each class"
            )
        self._classes |= {cls.name for cls in classes}
        paced = [self._recorder.pooled(self._as_recorded(at_pace(cls, self.promises.pace))) for cls in classes]
        self._recorder.record(*paced)
        traffic = Traffic(
            self._entry(to),
            paced,
            seed=self.seed ^ len(self._traffics),
            history=self.journal.path,
            spare=self._spare,
            nonce=f"{self.name}-{len(self._traffics)}",
            on_tick=self.tick,
            pace=self.promises.pace,
            dialect=dialect,
            trace=self._trace,
        )
        self._traffics.append(traffic)
        traffic.start()
        return traffic

    def _as_recorded(self, cls: RequestClass) -> RequestClass:
        """Steady traffic comes as in the recorded trace that the run was given, if it was."""
        return as_recorded(cls, self._arrivals, max_model_len=self.promises.max_model_len) if self._arrivals else cls

    def send(self, *classes: RequestClass, to: str | None = None, window: str = "", within_s: float = 15.0) -> None:
        """Traffic that ends by itself, waited for; in a window of its own where one is named.

        Raises as `load` does, and `NotInTime` after ``within_s`` at the stack's pace.
        """
        with self.window(window) if window else contextlib.nullcontext():
            self.load(*classes, to=to).wait(within_s=within_s)

    def keep_open(self, *, name: str, **more: Any) -> None:
        """Long answers of different lengths; returns when some are under way.

        So what comes next meets open streams however fast the engines are.
        """
        long = burst(16, over_s=0.02, name=name, stream=1.0, output_tokens=Uniform(90, 125), **more)
        answers = self.load(long)
        self.wait_until(lambda: answers.load.in_flight >= 6, what=f"open/{name}", within_s=2.0 * self.promises.pace)

    def _entry(self, to: str | None) -> Entry:
        if to is None:
            entry: Entry = self.stack.entry()
            return entry
        url = next(replica.url for replica in self.stack.replicas() if replica.name == to)
        return Entry(base_url=url, api_key_env=self.stack.entry().api_key_env)

    # ---- time

    def baseline(self, seconds: float) -> None:
        """Let the traffic run undisturbed; window ``baseline``."""
        with self.window("baseline"):
            self.hold(seconds)

    def recover(self, seconds: float) -> None:
        """Let the traffic run after everything was healed; window ``recover``."""
        with self.window("recover"):
            self.hold(seconds)

    def hold(self, seconds: float) -> None:
        """Let time pass, at the stack's pace, while traffic, faults and observation go on.

        Raises `ServedrillError` when the load or the observer broke, somebody halts it, or the watchdog is gone.
        """
        self._spare.prepare()
        until = time.monotonic() + seconds * self.promises.pace
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(_TICK_S, left))
            self.tick()

    def settle(self) -> None:
        """Wait until every gateway sends to every engine again, so that the next fault meets a stack at rest.

        Where no gateway tells, as long as it takes to detect a failure.
        """
        if lacking(self.stack, "Scrapable:gateways"):
            self.hold(self.promises.detect_s)
            return
        self._settles += 1
        self.wait_until(self._at_rest, what=f"settled/{self._settles}", within_s=self.promises.settle_within_s)

    def _at_rest(self) -> bool:
        latest = self.observer.latest
        gateways = [latest[name] for name in self.gateways if name in latest]
        fresh_ns = now_ns() - NS
        return 0 < len(gateways) == len(self.gateways) and all(
            sample.ok
            and sample.t_ns > fresh_ns
            and any(key.startswith(("breaker/", "healthy/")) for key in sample.values)
            and not any(
                (key.startswith("breaker/") and value) or (key.startswith("healthy/") and not value)
                for key, value in sample.values.items()
            )
            for sample in gateways
        )

    def wait_until(
        self, condition: Callable[[], bool], *, what: str, within_s: float, detail: Callable[[], dict[str, Any]] = dict
    ) -> bool:
        """Wait for a condition and write down how long it took, with ``detail()``; False when it did not come true."""
        began = time.monotonic()
        while not (met := condition()) and time.monotonic() - began < within_s:
            time.sleep(0.02)
            self.tick()
        self.observe(what, time.monotonic() - began, "s", met=met, **detail())
        return met

    @contextlib.contextmanager
    def window(self, name: str) -> Iterator[None]:
        """A named stretch of time that checks can refer to. Raises `UsageError` for a name that was used before."""
        if name in self._windows:
            raise UsageError(
                f"window {name!r} twice in one drill", where=self.name, expected="a name of its own for each window"
            )
        self._windows.append(name)
        self.step(name)
        self.journal.append(WindowOpened(t_ns=now_ns(), window=name))
        try:
            yield
        finally:
            self.journal.append(WindowClosed(t_ns=now_ns(), window=name))

    def step(self, phase: str, step: str = "") -> None:
        """Note where the drill is."""
        self.journal.append(PhaseStarted(t_ns=now_ns(), phase=phase, step=step))
        self._progress.phase(phase, step)

    # ---- faults

    @contextlib.contextmanager
    def broken(self, *faults: Fault, window: str = "inject", deadline_s: float = 30.0) -> Iterator[None]:
        """The faults are in place inside the block and healed after it; the block is a window.

        ``deadline_s``, at the stack's pace, is when the watchdog heals them whatever happens here. Raises `FaultError`
        for a fault that cannot be put in place.
        """
        if self.control:
            with self.window(window):
                yield
            return
        with contextlib.ExitStack() as stack:
            stack.callback(self._healed, faults)
            stack.enter_context(leased(self._guard, self.journal, *faults, deadline_s=deadline_s * self.promises.pace))
            with self.window(window):
                for fault in faults:
                    self._progress.fault(fault.name, fault.target, active=True)
                yield
            self.step("heal", ", ".join(f"{fault.name} on {fault.target}" for fault in faults))

    def break_for(self, seconds: float, *faults: Fault, window: str = "inject") -> None:
        """The faults are in place for so long, while the traffic goes on."""
        with self.broken(*faults, window=window):
            self.hold(seconds)

    def _healed(self, faults: tuple[Fault, ...]) -> None:
        for fault in faults:
            self._progress.fault(fault.name, fault.target, active=False)

    # ---- what is to be judged

    def observe(self, name: str, value: float, unit: str = "", **detail: Any) -> None:
        """Write down a measurement that the drill made itself."""
        self.journal.append(Observed(t_ns=now_ns(), name=name, value=value, unit=unit, detail=detail))

    # ---- the end

    def end(self, *, interrupted: str | None = None) -> None:
        """Stop traffic and observation and close the history; what is under way is waited for unless interrupted."""
        self.ended = True
        interrupted = interrupted or self._guard.trouble or None
        try:
            for traffic in self._traffics:
                if traffic.running and not interrupted:
                    traffic.stop(drain_s=12.0 * self.promises.pace)
                traffic.close()
            self._spare.close()
            if not interrupted:
                self._recorder.record_new_versions()
                self._let_go()
            self.observer.stop()
        except Unwatched as error:
            interrupted = interrupted or str(error)
        finally:
            if trouble := self._guard.trouble:
                self.observe(UNWATCHED, 1, because=trouble)
            self.journal.append(DrillEnded(t_ns=now_ns(), interrupted=interrupted))
            self.journal.close()

    def _let_go(self) -> None:
        """The last request is over: wait until nothing is held for any, and ask that it be so."""
        over_ns = now_ns()
        latest = self.observer.latest
        scraped = [replica.name for replica in self.stack.replicas() if replica.scraped]

        def nothing_held() -> bool:
            return all(name in latest and latest[name].t_ns > over_ns and not held(latest[name]) for name in scraped)

        self.wait_until(nothing_held, what="all given back", within_s=self.promises.pace)
        self.expect_nothing_held()

    def tick(self) -> None:
        """Look after what goes on, a few times a second. Raises as `hold`."""
        self._guard.check()
        self.observer.check()
        told = [traffic.load.status() for traffic in self._traffics if traffic.running]
        self._progress.tick(told[-1] if told else None)
