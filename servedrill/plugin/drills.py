"""Tests that are drills: three-valued outcomes, the final table, exit codes."""

from __future__ import annotations

import contextlib
import inspect
import secrets
import shlex
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from servedrill.checkers.finding import Answer, Finding
from servedrill.drill.context import Drill
from servedrill.errors import UsageError
from servedrill.judging.quarantine import Entry, outcome, unmatched
from servedrill.judging.verdict import Verdict
from servedrill.plugin.again import address, words
from servedrill.plugin.asked import asked, seed_asked, untyped
from servedrill.plugin.outcomes import (
    OURS,
    DrillFailed,
    DrillInconclusive,
    DrillQuarantined,
    Outcomes,
    without_repeat,
)
from servedrill.plugin.unsaid import hidden_in_repr, hide_logs, hide_warning, saying_no_secret, without_secrets
from servedrill.plugin.workers import is_worker, run_folder, shared_run
from servedrill.reporting.console import ConsoleProgress, print_summary
from servedrill.reporting.junit import properties
from servedrill.reporting.leavings import leave
from servedrill.reporting.listing import print_comparison
from servedrill.reporting.shown import shown
from servedrill.reporting.tables import console_for
from servedrill.runs.about import Options
from servedrill.runs.baseline import compare_runs
from servedrill.runs.layout import RUNS
from servedrill.runs.stored import read_run
from servedrill.runs.verdicts import judge_folder, judge_what_is_left, read_verdicts
from servedrill.session.session import Session, StackLacks
from servedrill.session.stack import BringUp
from servedrill.stacks.lifecycle import stack_up


class DrillPlugin:
    """Hooks of a pytest session that has drills; other tests of the session are left alone."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.bring_up: BringUp = stack_up
        self.judge_folder: Callable[[Path], Verdict] = judge_folder
        """These two are what a session is made with; a pytest_configure hook may set others, as tests do."""
        self._session: Session | None = None
        self._open: Drill | None = None
        self._outcomes = Outcomes(config, lambda: self.folder is not None)
        self._drills: dict[str, str] = {}
        """Node id -> name, of the tests that asked for one."""
        self._left: list[str] = []
        """Where the run's report is, for the end of the output."""
        self.part, self.job_summary = False, True
        """Whether the session has a part of its drills only, and whether it writes a summary on a CI job's page."""

    def check(self) -> None:
        """Raise pytest's `UsageError` for an option that cannot be used."""
        try:
            self.session()
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None

    def session(self) -> Session:
        """The one of this pytest session. Raises `UsageError` for an option that cannot be used."""
        if self._session is None:
            try:
                self._session = self._asked_for()
            except UsageError as error:
                if places := untyped(self.config):
                    raise UsageError(f"{error}; asked for by {', '.join(places)}") from None
                raise
        return self._session

    def _asked_for(self) -> Session:
        option, shared = self.config.getoption, shared_run(self.config)
        seed = shared.seed if shared is not None else seed_asked(self.config)
        options = Options(
            seed=secrets.randbelow(10**9) if seed is None else seed,
            stack_file=asked(self.config, "stack"),
            slo_file=asked(self.config, "slo"),
            arrivals=asked(self.config, "arrivals"),
            control=option("drill_control"),
            defects=option("drill_defect"),
            runs=asked(self.config, "runs") or RUNS,
            pyargs=self.config.option.pyargs,
            quarantine=asked(self.config, "quarantine"),
        )
        return Session(
            options,
            production=option("drill_production"),
            baseline=asked(self.config, "baseline"),
            shared=shared.folder if shared is not None else "",
            bring_up=self.bring_up,
            judge=self.judge_folder,
        )

    @property
    def folder(self) -> Path | None:
        """The run's, also where somebody removed it; None before the first drill, and where all were skipped."""
        shared = shared_run(self.config)
        if shared is not None:
            folder = run_folder(self.config, shared)
            return folder if folder.is_dir() else None
        if self._session is None or self._session.run is None:
            return None
        folder = self._session.run.folder
        return folder if self._session.verdicts or folder.is_dir() else None

    def _verdicts(self) -> list[Verdict]:
        """Of all drills, whichever process ran them."""
        folder = self.folder
        if folder is None or shared_run(self.config) is None:
            return self._session.verdicts if self._session is not None else []
        return read_verdicts(folder)

    # ---- a drill's life

    @contextlib.contextmanager
    def open(self, item: pytest.Item) -> Iterator[Drill]:
        """A drill for a test, named and described by it. Skips the test where the stack lacks what it needs."""
        hide_logs(self.config)
        name = self._drills[item.nodeid] = without_repeat(item, item.name).removeprefix("test_")
        with contextlib.ExitStack() as stack:
            with self._uncaptured():
                session = self.session()
                progress = None
                if not is_worker(self.config):
                    progress = stack.enter_context(ConsoleProgress(console_for(self._terminal()), name))
                opened = session.open(
                    name,
                    hypothesis=_first_paragraph(getattr(item, "function", None)) or name,
                    nodeid=address(item, without_repeat(item, item.nodeid)),
                    needs=_capabilities(item, "drill_needs"),
                    uses=_capabilities(item, "drill_uses"),
                    progress=progress,
                )
                try:
                    drill = stack.enter_context(opened)
                except StackLacks as lack:
                    pytest.skip(str(lack))
            self._open = drill
            try:
                yield drill
            finally:
                self._open = None
                if not drill.ended:
                    self._judge(drill, item, interrupted="the drill did not get to its end")

    def _judge(self, drill: Drill, item: pytest.Item, *, interrupted: str | None = None) -> Verdict:
        verdict = self.session().judge(drill, interrupted=interrupted)
        item.user_properties += properties(verdict, drill.folder)
        return verdict

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """Judge the drill as part of its own test, so that the test has the verdict's outcome."""
        drill = self._open
        if drill is None:
            return (yield)
        with self._uncaptured(), saying_no_secret():
            try:
                result = yield
            except BaseException as error:
                verdict = self._judge(drill, pyfuncitem, interrupted=f"{type(error).__name__}: {error}")
                ours = isinstance(error, OURS) and not isinstance(error, UsageError)
                if ours or (verdict.unwatched and isinstance(error, Exception)):
                    self._raise_for(verdict)  # what this tool could not do is a doubt, and nothing that the stack did
                raise
            verdict = self._judge(drill, pyfuncitem)
        self._raise_for(verdict)
        return result

    def _raise_for(self, verdict: Verdict) -> None:
        """What the drill's test comes to: the verdict's answer, by what is not in quarantine."""
        found = outcome(verdict, self.session().quarantine)
        if found.answer is Answer.PASS and not found.quarantined:
            return
        if found.answer is Answer.PASS:
            terms = "; ".join(entry.terms for entry in found.by)
            raise DrillQuarantined(shown(f"{terms}: {verdict.answer.value.upper()}: {_said(found.covered)}"))
        findings = [finding for finding in verdict.of(found.answer) if finding not in found.covered]
        raise (DrillFailed if found.answer is Answer.FAIL else DrillInconclusive)(shown(_said(findings)))

    # ---- outcomes

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """A refuted claim fails in one line, a doubt is neither passed nor failed, wrong usage is told in one line.

        What one drill lacks costs that drill; the session ends when a second one comes to the same error.
        """
        report = yield
        if (name := self._drills.get(item.nodeid)) is not None:
            report.drill_ran = True
            self._outcomes.tell(item, call, report, drill=name, entry=self._whole(name))
            without_secrets(report)
        return report

    def _whole(self, drill: str) -> Entry | None:
        """The entry that has all of a drill in quarantine."""
        given = self._session.quarantine if self._session is not None else []
        return next((entry for entry in given if not entry.claim and entry.has_drill(drill)), None)

    def heard(self, report: pytest.TestReport) -> None:
        """The first report of a worker."""
        self._outcomes.note(report)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of this process or, in a controller, of a worker; after the plugin that remembers what failed last."""
        self._outcomes.note(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Somebody's Ctrl-C, or the way in which pytest-xdist stops for ``-x``.

        pytest draws a traceback with the sources of all its frames, for seconds on a busy machine, and shows its last
        line, unless it is asked for the whole.
        """
        self._outcomes.interrupted = excinfo.type is KeyboardInterrupt
        if not self.config.option.fulltrace:
            excinfo.traceback = excinfo.traceback.filter(excinfo)[-1:] or excinfo.traceback  # pytest.exit hides itself
            excinfo.value.__cause__, excinfo.value.__suppress_context__ = None, True

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: Any) -> None:
        """Whoever lists it is told next."""
        hide_warning(warning_message)

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: Any) -> None:
        """Whoever draws it is told next."""
        hidden_in_repr(excrepr)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write what the run leaves, and give the session its exit status."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        hidden_in_repr(getattr(reporter, "_keyboardinterrupt_memo", None))  # drawn when everything else is over
        if self._session is not None:
            self._session.close()
        if is_worker(self.config):
            return
        folder = self.folder
        if folder is not None and shared_run(self.config) is not None:
            with contextlib.suppress(UsageError):
                judge_what_is_left(folder)  # by a worker that was killed
        if folder is not None and self._verdicts():
            self._left = leave(folder, page=not self.config.getoption("drill_no_report"), job=self.job_summary)
        quarantine, verdicts = self._quarantine(), self._verdicts()
        if not self.part and (drills := self._outcomes.all_drills(session)):
            for error in unmatched(quarantine, verdicts, drills):
                self._outcomes.used_wrongly.append(str(error))
        answers = [outcome(verdict, quarantine).answer for verdict in verdicts]
        session.exitstatus = self._outcomes.status(session.exitstatus, answers, failed=session.testsfailed)

    @property
    def used_wrongly(self) -> list[str]:
        """What only the end of the session shows."""
        return self._outcomes.used_wrongly

    def _quarantine(self) -> list[Entry]:
        """Nothing before the first drill, and where what was asked for cannot be used."""
        if self._session is None and shared_run(self.config) is None:
            return []
        with contextlib.suppress(UsageError):
            return self.session().quarantine
        return []

    # ---- the terminal

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The table of the verdicts, where everything is, and the command that runs all of it again."""
        for line in self._outcomes.lines():
            terminalreporter.write_line(line, red=True)
        folder = self.folder
        if folder is None:
            return
        if not self._verdicts():
            terminalreporter.write_line(f"no drill was begun; what its stack wrote is in {folder}")
            return
        print_summary(console_for(self._terminal()), self._verdicts(), str(folder), quarantine=self._quarantine())
        if (baseline := asked(self.config, "baseline")) is not None:
            self._compare(folder, Path(baseline).resolve())
        told = self._session.run.told if self._session is not None and self._session.run is not None else ""
        for line in (*self._left, *filter(None, [told])):
            terminalreporter.write_line(shown(line))
        options, shared = self.session().options, shared_run(self.config)
        if shared is not None:  # chosen for all, after this process had chosen for itself
            options = msgspec.structs.replace(options, seed=shared.seed)
        again = shlex.join(["pytest", *words(self.config), *options.arguments()])
        terminalreporter.write_line(shown(f"seed {options.seed}; run again with: {again}"))

    def _compare(self, folder: Path, baseline: Path) -> None:
        """Hold the run against its baseline; what cannot be compared is said and changes no outcome."""
        console = console_for(self._terminal())
        try:
            comparisons = compare_runs(read_run(baseline), read_run(folder))
        except Exception as error:
            console.print(f"not compared: {type(error).__name__}: {error}", markup=False)
            return
        print_comparison(console, comparisons, before=baseline.name, after=folder.name)

    def _uncaptured(self) -> contextlib.AbstractContextManager[None]:
        """Progress is shown while a drill runs; its output is for people, not for a report."""
        manager = self.config.pluginmanager.getplugin("capturemanager")
        return contextlib.nullcontext() if manager is None else manager.global_and_fixture_disabled()

    def _terminal(self) -> Any:
        """Where pytest itself writes."""
        return self.config.get_terminal_writer()._file


def _said(findings: list[Finding]) -> str:
    return "; ".join(f"{finding.checker}: {finding.claim} Seen: {finding.observed}" for finding in findings)


def _capabilities(item: pytest.Item, marker: str) -> list[str]:
    return [name for one in item.iter_markers(marker) for name in one.args]


def _first_paragraph(function: Any) -> str:
    """Of its docstring, as one line; empty where there is none."""
    text = inspect.getdoc(function) if function is not None else None
    return " ".join((text or "").split("\n\n")[0].split())
