"""pytest inside `servedrill ci` (``-p servedrill.plugin.recorder``): the stack is locked for the session, each test is
noted down as it goes, and another try runs only what the first left open.

It is named before all other plugins, and so is asked last of those who want to be first: by then it is settled what
stacks are made of. In a worker of pytest-xdist it chooses what is run, and no more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

import pytest

from servedrill.ci.record import Asked, Ended, Line, Reported, Word, read_try, write_line
from servedrill.errors import NotInTime, UsageError
from servedrill.host.clock import wait_for
from servedrill.leases.left import left_in
from servedrill.leases.stack_lock import Holder, held, lock_folder
from servedrill.plugin import drills_of
from servedrill.secrecy.known import hidden
from servedrill.session.session import Session
from servedrill.stacks.identity import identity_of

_HEALED_WITHIN_S = 20.0
"""A watchdog notices within 3 s that its drill is gone; some undos wait for what they end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `servedrill ci` says to its pytest; nobody types it."""
    group = parser.getgroup("servedrill ci")
    group.addoption("--drill-record", type=Path, help="the file that is written")
    group.addoption("--drill-record-before", type=Path, help="that of the try before: what it left open is run")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """The stack is ours until the session ends; wrong usage is noted where there is nobody else to tell it."""
    path = config.getoption("drill_record")
    if path is None or hasattr(config, "workerinput") or config.option.collectonly:
        return
    recorder = Recorder(config, path)
    config.pluginmanager.register(recorder, "servedrill-recorder")
    try:
        recorder.begin()
    except UsageError as error:
        recorder.note(Ended(status=pytest.ExitCode.USAGE_ERROR, told=str(error).splitlines()))
        raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of another try only what the first left open, and what it did not get to."""
    path = config.getoption("drill_record_before")
    if path is None:
        return
    before = read_try(path)
    done = before.tests.keys() - before.unfinished.keys()
    left = [item for item in items if item.nodeid in done]
    items[:] = [item for item in items if item.nodeid not in done]
    config.hook.pytest_deselected(items=left)


class Recorder:
    """Of the one process that has the session."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config, self._path = config, path

    def begin(self) -> None:
        """Raises `UsageError` for options that cannot be used, and for a stack that somebody else has."""
        drills = drills_of(self._config)
        drills.part = self._config.getoption("drill_record_before") is not None
        drills.job_summary = False  # there is one of all tries in the end
        session = drills.session()
        self._lock(session)
        self.note(
            Asked(
                runs=str(Path(session.options.runs).absolute()),
                stack=session.file.name,
                environment=session.file.environment,
                slo_file=session.options.slo_file or "",
                control=session.options.control,
                quarantine=session.quarantine,
            )
        )

    def _lock(self, session: Session) -> None:
        runs = Path(session.options.runs).absolute()
        with contextlib.ExitStack() as stack:
            lock = stack.enter_context(
                held(identity_of(session.file, runs), lock_folder(), what="servedrill ci", runs=str(runs))
            )
            if lock.left_by is not None:
                _wait_until_healed(lock.left_by)
            self._config.add_cleanup(stack.pop_all().close)

    def note(self, line: Line) -> None:
        """A disk that is full ends nothing: what is missing counts as not judged."""
        with contextlib.suppress(OSError):
            write_line(self._path, line)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of this process or of a worker."""
        word = _word(report)
        if word == "begun" and report.when == "teardown":
            return
        self.note(
            Reported(
                nodeid=report.nodeid,
                word=word,
                drill=getattr(report, "drill_name", ""),
                text=hidden(_text(report)),
                path=str(self._config.rootpath / report.location[0]),
                line=(report.location[1] or 0) + 1,
                seconds=report.duration,
                unreachable=getattr(report, "drill_unreachable", False),
                folder=self._folder(),
            )
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """When everybody else has finished, with the status that the session has by then."""
        try:
            return (yield)
        finally:
            told = drills_of(self._config).used_wrongly
            self.note(Ended(status=int(session.exitstatus), folder=self._folder(), told=told))

    def _folder(self) -> str:
        folder = drills_of(self._config).folder
        return str(folder) if folder is not None else ""


def _word(report: pytest.TestReport) -> Word:
    for attribute in ("usage", "quarantined", "inconclusive"):
        if getattr(report, f"drill_{attribute}", False):
            return attribute
    if report.failed:
        return "failed" if report.when == "call" else "error"
    if report.skipped:
        return "skipped"
    return "passed" if report.when == "call" else "begun"


def _text(report: pytest.TestReport) -> str:
    """What a person reads first: the reason of a skip or a doubt, the message of an error."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr or "")


def _wait_until_healed(before: Holder) -> None:
    """A run that was killed has a watchdog that heals what it broke. Raise `UsageError` where something stays."""
    runs = Path(before.runs)
    with contextlib.suppress(NotInTime):
        wait_for(lambda: not _broken(runs), what="the watchdog", within_s=_HEALED_WITHIN_S, every_s=0.2)
        return
    raise UsageError(
        f"pid {before.pid} ({before.what}) was killed, and not all that it broke is healed",
        where=before.runs,
        expected="a stack as it was",
        hint=f"`servedrill heal --runs {before.runs}` heals it",
    )


def _broken(runs: Path) -> bool:
    """Whether whoever was killed has left anything there."""
    return any(not left.running for left in left_in(runs))
