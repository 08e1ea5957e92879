"""A session: one run's folder, one seed, one watchdog, and drills one after the other on a stack of their own.

with contextlib.closing(Session(Options(seed=7))) as session:
    with session.open("spike", hypothesis="It holds.", nodeid="drills/spike.py") as drill:
        drill.load(chat(rate=20))
        ...
    session.verdicts
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from servedrill.drill.context import Drill
from servedrill.drill.progress import Progress, Silent
from servedrill.errors import ServedrillError
from servedrill.history.events import DeclaredWeakness
from servedrill.host.chance import seed_of
from servedrill.host.machine import require_machine, told_in_one_line
from servedrill.judging.quarantine import read_quarantine
from servedrill.judging.verdict import Verdict
from servedrill.leases.lever import require_released
from servedrill.marks.marking import marking
from servedrill.marks.traces import trace_of
from servedrill.runs.about import Options
from servedrill.runs.folder import Run
from servedrill.runs.gate import objectives_for
from servedrill.runs.layout import HISTORY
from servedrill.runs.verdicts import judge_folder, read_verdict
from servedrill.session.options import check_capabilities, check_options
from servedrill.session.stack import BringUp, guarded_stack
from servedrill.stacks.capabilities import lacking
from servedrill.stacks.lifecycle import stack_up
from servedrill.stacks.protocols import Stack


class StackLacks(ServedrillError):
    """The stack lacks what a drill needs: the drill is skipped for this reason, and has no verdict."""


class Session:
    """Nothing is written or started before the first drill; `close` when the last is over."""

    def __init__(
        self,
        options: Options,
        *,
        production: bool = False,
        baseline: str | None = None,
        shared: str = "",
        bring_up: BringUp = stack_up,
        judge: Callable[[Path], Verdict] = judge_folder,
    ) -> None:
        """``bring_up`` gives each drill its stack, ``judge`` the verdict of a drill's folder; ``shared`` names the
        folder of a run that other processes have a part in.

        Raises `UsageError` for options that cannot be used, as `check_options` and `read_quarantine`, and where this
        machine cannot run any drill, as `require_machine`.
        """
        self.options = options
        self.file = check_options(options, production=production, baseline=baseline)
        self.quarantine = read_quarantine(Path(options.quarantine)) if options.quarantine else []
        require_machine()
        self.run: Run | None = None
        """None before the first drill."""
        self._bring_up, self._judge_folder = bring_up, judge
        self._shared = shared
        self._closed = False

    @property
    def verdicts(self) -> list[Verdict]:
        """Of all drills so far."""
        return list(self.run.verdicts.values()) if self.run is not None else []

    @contextlib.contextmanager
    def open(
        self,
        name: str,
        *,
        hypothesis: str,
        nodeid: str,
        needs: Sequence[str] = (),
        uses: Sequence[str] = (),
        progress: Progress | None = None,
        replay: str = "",
    ) -> Iterator[Drill]:
        """A drill on a stack of its own, which is ended and everything healed after the block; judged then, unless
        `judge` did so before.

        ``nodeid`` is what pytest is given to run it again, where ``replay`` is no other command. ``needs`` and ``uses``
        name capabilities, protocols of `servedrill.stacks.protocols`: without the first the drill is skipped, the
        second are prepared where the stack has them. Raises `StackLacks` for a drill to skip, `UsageError` for an
        unknown capability, for a production stack without error budget, while the safety lever is pulled and where no
        run can be written, `StackError` for a stack that does not come up.
        """
        require_released(Path(self.options.runs))
        run = self.begun()
        check_capabilities([*needs, *uses], where=nodeid)
        with (
            run.turn(),
            self._opened(
                run, name, hypothesis, replay or run.replay_command(nodeid), needs, uses, progress or Silent()
            ) as drill,
        ):
            yield drill

    @contextlib.contextmanager
    def _opened(
        self,
        run: Run,
        name: str,
        hypothesis: str,
        replay: str,
        needs: Sequence[str],
        uses: Sequence[str],
        progress: Progress,
    ) -> Iterator[Drill]:
        objectives = objectives_for(
            self.options.slo_file,
            environment=self.file.environment,
            stack=self.file.name,
            runs=Path(self.options.runs),
        )
        folder = run.drill_folder(name)
        seed = seed_of(self.options.seed, name)
        progress.phase("starting the stack", "")
        run.guard.renew()
        with guarded_stack(
            self.file,
            folder,
            run.guard,
            defects=self.options.defects,
            seed=seed,
            needs=needs,
            uses=uses,
            bring_up=self._bring_up,
        ) as stack:
            lack = next(filter(None, (lacking(stack, capability) for capability in needs)), None)
            if lack is None:
                run.begin(folder, replay)
                with (
                    self._marking(run, folder),
                    self._judged(self._drill(stack, name, hypothesis, seed, folder, run, progress)) as drill,
                ):
                    drill.journal.append(*objectives)
                    yield drill
                return
        shutil.rmtree(folder, ignore_errors=True)
        raise StackLacks(lack)

    def _drill(
        self, stack: Stack, name: str, hypothesis: str, seed: int, folder: Path, run: Run, progress: Progress
    ) -> Drill:
        return Drill(
            stack,
            name=name,
            hypothesis=hypothesis,
            seed=seed,
            control=self.options.control,
            defects=self.options.defects,
            folder=folder,
            guard=run.guard,
            progress=progress,
            arrivals=self.options.arrivals,
            weaknesses=self._weaknesses(name),
            trace=trace_of(run.folder.name, folder.name) if self.file.marks.otlp else "",
        )

    def _marking(self, run: Run, folder: Path) -> contextlib.AbstractContextManager[None]:
        """What the drill does is told where the stack's file says."""

        def answer() -> str:
            verdict = run.verdicts.get(folder.name)
            return verdict.answer.value if verdict is not None else "no verdict"

        trace = trace_of(run.folder.name, folder.name)
        return marking(self.file.marks, folder / HISTORY, trace=trace, answer=answer)

    @contextlib.contextmanager
    def _judged(self, drill: Drill) -> Iterator[Drill]:
        try:
            yield drill
        except BaseException as error:
            if not drill.ended:
                self.judge(drill, interrupted=f"{type(error).__name__}: {error}")
            raise
        if not drill.ended:
            self.judge(drill)

    def judge(self, drill: Drill, *, interrupted: str | None = None) -> Verdict:
        """End the drill, judge its history and add the verdict to the run; ``interrupted`` says why it did not get to
        its end.

        Where that cannot be written down, the verdict is of what was.
        """
        run = self.begun()
        with run.telling():
            drill.end(interrupted=interrupted)
        verdict = None
        if drill.folder.is_dir():  # somebody may have removed it
            with run.telling():
                verdict = self._judge_folder(drill.folder)
        verdict = verdict or read_verdict(drill.folder)
        run.add(drill.folder.name, verdict)
        return verdict

    def close(self) -> None:
        """End the run; what is still broken is healed. A second time it does nothing."""
        if self.run is not None and not self._closed:
            self._closed = True
            self.run.close()

    def begun(self) -> Run:
        """The run, which begins with the first who asks for it. Raises `UsageError` where it cannot be written."""
        if self.run is None:
            with told_in_one_line("a run could not be started"):
                images = [container.image for container in self.file.container]
                self.run = Run(self.options, shared=self._shared, quarantine=self.quarantine, images=images)
        return self.run

    def _weaknesses(self, drill: str) -> list[DeclaredWeakness]:
        """Those that the stack's file declares for the drill; a weakness that names no drill is one in every drill."""
        return [
            DeclaredWeakness(checks=weakness.checks, because=weakness.because)
            for weakness in self.file.weaknesses
            if drill in (weakness.drills or [drill])
        ]
