"""The pytest plugin: options, three-valued outcomes, the final table, exit codes.

It defines no fixture and stays out of the way of test runs that have no drill in them: nothing heavy is imported before the
first drill asks for its stack.
"""

from __future__ import annotations

import contextlib
import inspect
import secrets
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from servedrill.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from servedrill.drill.context import Drill
    from servedrill.judging.verdict import Verdict
    from servedrill.runs.folder import Run

_session = pytest.StashKey["DrillSession"]()


class DrillFailed(AssertionError):
    """At least one claim of the drill was refuted."""


class DrillInconclusive(Exception):
    """No claim was refuted, but not every one could be judged."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("servedrill", "failure drills")
    group.addoption("--stack", metavar="FILE", help="stack file (TOML) to drill; default: the embedded stack")
    group.addoption(
        "--seed", type=int, metavar="N", help="seed of every schedule and choice; default: a new one, which is printed"
    )
    group.addoption("--control", action="store_true", help="everything but the faults: has to be green")
    group.addoption(
        "--defect",
        action="append",
        default=[],
        metavar="MODULE:CLASS",
        help="start the embedded stack with this policy (module:Class or path.py:Class); repeatable",
    )
    group.addoption("--slo", metavar="FILE", help="SLO file (OpenSLO) to judge by instead of the built-in objectives")
    group.addoption(
        "--arrivals",
        metavar="FILE",
        help="recorded trace (CSV of TIMESTAMP,ContextTokens,GeneratedTokens) by which steady traffic comes",
    )
    group.addoption(
        "--runs", default=".servedrill/runs", metavar="DIR", help="where runs are written (default: %(default)s)"
    )
    group.addoption(
        "--baseline",
        metavar="RUN",
        help="say in the end what got worse since this run, with the noise taken into account",
    )
    group.addoption(
        "--production",
        action="store_true",
        help="drill a stack although its file says that its environment is production",
    )
    group.addoption("--no-report", action="store_true", help="write no report.html into the run's folder")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "needs(*capabilities): names of protocols of servedrill.stacks.protocols that the stack has to have, else the drill is skipped",
    )
    config.addinivalue_line("markers", "catches(*incidents): incident ids whose bugs the drill catches")
    config.addinivalue_line("markers", "memory_limit: the drill limits a replica's memory")
    config.addinivalue_line("markers", "gpu: the drill needs a GPU that NVML can read, else it is skipped")
    session = DrillSession(config)
    config.stash[_session] = session
    config.pluginmanager.register(session, "servedrill-session")
    if any(config.getoption(name) for name in ("defect", "stack", "slo", "baseline", "arrivals")):
        try:
            session.check_options()
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None


@contextlib.contextmanager
def open_drill(request: pytest.FixtureRequest) -> Iterator[Drill]:
    """A drill on a stack of its own, for a test; the stack is ended and everything healed afterwards."""
    session = request.config.stash[_session]
    with contextlib.ExitStack() as stack:
        with session.uncaptured():
            drill = stack.enter_context(session.open(request.node))
        yield drill


class DrillSession:
    """Everything that the drills of one pytest session share."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.run: Run | None = None
        self.has_drills = False
        self.usage_errors: list[str] = []
        self.open_drill: Drill | None = None
        self.left: list[str] = []
        """Where the run's report is, for the end of the output."""

    def check_options(self) -> None:
        """Raise `UsageError` for a stack file, an SLO file, a defect or a baseline that cannot be used."""
        from pathlib import Path

        from servedrill.judging.catalogue import require_declarable
        from servedrill.refstack.policies import BadDefect, Policies
        from servedrill.slo.openslo import read_slos
        from servedrill.stacks.file import read_stack_file

        if self.config.getoption("baseline"):
            from servedrill.runs.stored import read_about

            read_about(Path(self.config.getoption("baseline")))
        stack = self.config.getoption("stack")
        file = read_stack_file(Path(stack) if stack else None)
        for weakness in file.weaknesses:
            for check in weakness.checks:
                require_declarable(check.partition(":")[0], where=f"{file.path}: weaknesses")
        if file.environment == "production" and not self.config.getoption("production"):
            raise UsageError(
                f"{file.name!r} is a production stack; a drill's blast radius there: {file.blast_radius}",
                where=file.path,
                expected="--production from whoever may break it",
            )
        if arrivals := self.config.getoption("arrivals"):
            from servedrill.load.recording import read_recording

            read_recording(arrivals)
        if slo := self.config.getoption("slo"):
            read_slos(Path(slo))
        try:
            Policies(self.config.getoption("defect"))
        except BadDefect as error:
            raise UsageError(str(error), where="--defect") from None

    # ---- a drill's life

    @contextlib.contextmanager
    def open(self, item: pytest.Item) -> Iterator[Drill]:
        from pathlib import Path

        from servedrill.drill.context import Drill
        from servedrill.history.events import DeclaredWeakness
        from servedrill.host.chance import seed_of
        from servedrill.leases.keeper import StackKeeper
        from servedrill.reporting.console import ConsoleProgress, console_for
        from servedrill.runs.about import Options
        from servedrill.runs.folder import Run
        from servedrill.runs.gate import objectives_for
        from servedrill.stacks import protocols
        from servedrill.stacks.file import read_stack_file
        from servedrill.stacks.lifecycle import stack_up
        from servedrill.stacks.protocols import lacking

        option = self.config.getoption
        self.has_drills = True
        if self.run is None:
            seed = option("seed")
            self.run = Run(
                Options(
                    seed=secrets.randbelow(10**9) if seed is None else seed,
                    stack_file=option("stack"),
                    slo_file=option("slo"),
                    arrivals=option("arrivals"),
                    control=option("control"),
                    defects=option("defect"),
                    runs=option("runs"),
                )
            )
        run = self.run
        needed = [name for marker in item.iter_markers("needs") for name in marker.args]
        for capability in needed:
            if not hasattr(protocols, capability.partition(":")[0]):
                raise UsageError(
                    f"unknown capability {capability!r}",
                    where=item.nodeid,
                    expected="the name of a protocol of servedrill.stacks.protocols",
                )
        if item.get_closest_marker("gpu"):
            _require_gpu()
        file = read_stack_file(Path(option("stack")) if option("stack") else None)
        name = item.name.removeprefix("test_")
        objectives = objectives_for(
            option("slo"), environment=file.environment, stack=file.name, runs=Path(option("runs"))
        )
        folder = run.drill_folder(name, item.nodeid)
        seed = seed_of(run.options.seed, name)
        with ConsoleProgress(console_for(self._terminal()), name) as progress:
            limit_memory = item.get_closest_marker("memory_limit") is not None
            keeper = StackKeeper(run.guard)
            with (
                contextlib.closing(keeper),
                stack_up(
                    file,
                    folder,
                    on_undo=keeper,
                    defects=run.options.defects,
                    seed=seed,
                    limit_memory=limit_memory,
                    needs=needed,
                ) as stack,
            ):
                for capability in needed:
                    if reason := lacking(stack, capability):
                        pytest.skip(reason)
                hypothesis = " ".join(
                    (inspect.getdoc(getattr(item, "function", None)) or name).split("\n\n")[0].split()
                )
                drill = Drill(
                    stack,
                    name=name,
                    hypothesis=hypothesis,
                    seed=seed,
                    control=run.options.control,
                    defects=run.options.defects,
                    folder=folder,
                    guard=run.guard,
                    progress=progress,
                    arrivals=run.options.arrivals,
                    weaknesses=[
                        DeclaredWeakness(checks=weakness.checks, because=weakness.because)
                        for weakness in file.weaknesses
                        if name in (weakness.drills or [name])
                    ],
                )
                drill.journal.append(*objectives)
                self.open_drill = drill
                interrupted: str | None = "the drill was not run"
                try:
                    yield drill
                    interrupted = None
                finally:
                    self.open_drill = None
                    if not drill.ended:
                        drill.end(interrupted=interrupted or "the drill did not get to its end")
                        self._judge(drill, item)

    def _judge(self, drill: Drill, item: pytest.Item) -> Verdict:
        from servedrill.reporting.junit import properties
        from servedrill.runs.verdicts import judge_folder

        assert self.run is not None
        verdict = judge_folder(drill.folder)
        self.run.add(drill.folder.name, verdict)
        item.user_properties += properties(verdict, drill.folder)
        return verdict

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """Judge the drill as part of its own test, so that the test has the verdict's outcome."""
        drill = self.open_drill
        if drill is None:
            return (yield)
        with self.uncaptured():
            try:
                result = yield
            except BaseException as error:
                drill.end(interrupted=f"{type(error).__name__}: {error}")
                self._judge(drill, pyfuncitem)
                raise
            drill.end()
        self._raise_for(self._judge(drill, pyfuncitem))
        return result

    def _raise_for(self, verdict: Verdict) -> None:
        from servedrill.checkers.finding import Answer

        if verdict.answer is Answer.PASS:
            return
        findings = verdict.of(verdict.answer)
        text = "; ".join(f"{finding.checker}: {finding.claim} Seen: {finding.observed}" for finding in findings)
        raise (DrillFailed if verdict.answer is Answer.FAIL else DrillInconclusive)(text)

    # ---- outcomes

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        report = yield
        error = call.excinfo.value if call.excinfo is not None else None
        if isinstance(error, UsageError) and self.has_drills:
            self.usage_errors.append(str(error))
            item.session.shouldstop = "wrong usage"
            report.longrepr = f"usage: {error}"
        elif isinstance(error, DrillInconclusive):
            report.outcome = "skipped"
            report.inconclusive = True
            report.longrepr = (str(item.path), (item.location[1] or 0) + 1, f"INCONCLUSIVE: {error}")
        elif isinstance(error, DrillFailed):
            report.longrepr = f"FAIL: {error}"
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        if getattr(report, "inconclusive", False):
            return "inconclusive", "?", ("INCONCLUSIVE", {"yellow": True})
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.run is not None:
            from servedrill.reporting.leavings import leave

            self.run.close()
            self.left = leave(self.run.folder, page=not self.config.getoption("no_report"))
        if self.usage_errors:
            session.exitstatus = ExitCode.USAGE
        elif (
            session.exitstatus == ExitCode.PASSED
            and self.run is not None
            and any(v.answer == "inconclusive" for v in self.run.verdicts.values())
        ):
            session.exitstatus = ExitCode.INCONCLUSIVE

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.usage_errors:
            for error in dict.fromkeys(self.usage_errors):
                terminalreporter.write_line(f"ERROR: {error}", red=True)
        if self.run is None:
            return
        from servedrill.reporting.console import console_for, print_summary

        print_summary(console_for(self._terminal()), list(self.run.verdicts.values()), str(self.run.folder))
        if self.config.getoption("baseline"):
            self._compare()
        for line in self.left:
            terminalreporter.write_line(line)
        terminalreporter.write_line(
            f"seed {self.run.options.seed}; run again with: pytest drills {' '.join(self.run.options.arguments())}"
        )

    def _compare(self) -> None:
        """Hold the run against its baseline; what cannot be compared is said and changes no outcome."""
        from pathlib import Path

        from servedrill.reporting.console import console_for
        from servedrill.reporting.listing import print_comparison
        from servedrill.runs.baseline import compare_runs
        from servedrill.runs.stored import read_run

        assert self.run is not None
        console = console_for(self._terminal())
        baseline = Path(self.config.getoption("baseline")).resolve()
        try:
            comparisons = compare_runs(read_run(baseline), read_run(self.run.folder))
        except Exception as error:
            console.print(f"not compared: {type(error).__name__}: {error}", markup=False)
            return
        print_comparison(console, comparisons, before=baseline.name, after=self.run.folder.name)

    def uncaptured(self) -> contextlib.AbstractContextManager[None]:
        """Progress is shown while a drill runs; its output is for people, not for a report."""
        manager = self.config.pluginmanager.getplugin("capturemanager")
        return contextlib.nullcontext() if manager is None else manager.global_and_fixture_disabled()

    def _terminal(self) -> Any:
        """Where pytest itself writes."""
        return self.config.get_terminal_writer()._file


def _require_gpu() -> None:
    """Skip with the reason where there is none."""
    from servedrill.host.gpu import NoGpu, read_gpus

    try:
        read_gpus()
    except NoGpu as error:
        pytest.skip(f"no GPU: {error}")
