"""What became of the drills of a pytest session, and the exit status that this comes to.

Reports say it, so that it is the same whether this process ran the drills or its workers did.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest

from servedrill.checkers.finding import Answer
from servedrill.errors import ExitCode, ServedrillError, StackError, UsageError
from servedrill.judging.quarantine import Entry
from servedrill.plugin.workers import CRASHED
from servedrill.reporting.shown import shown
from servedrill.secrecy.known import text

_A_FILE = re.compile(r"\.py$|\.test_\w+$")
"""What is asked for as one: a path, or a module with ``--pyargs``."""
OURS = (ServedrillError, httpx.HTTPError, OSError)
"""What this tool could not do: its own errors, control calls that nobody answered, what the machine refused."""


class DrillFailed(AssertionError):
    """At least one claim of the drill was refuted."""


class DrillInconclusive(Exception):
    """No claim was refuted, but not every one could be judged."""


class DrillQuarantined(Exception):
    """What is not proven is in quarantine: it is shown and does not gate."""


class Outcomes:
    """Tells of drills in their reports, and reads it from there."""

    def __init__(self, config: pytest.Config, begun: Callable[[], bool]) -> None:
        """``begun``: whether there is a run, so that a worker that was killed may have had a drill of it."""
        self._config, self._begun = config, begun
        self._usage_errors: list[str] = []
        self._told: list[str] = []
        """The same of this process alone, which is what ends it."""
        self._unbegun: dict[str, str] = {}
        self._doubts: set[str] = set()
        self._refuted: set[str] = set()
        self._broken: list[tuple[str, str]] = []
        """Failed for pytest, and no word about the stack: node id, and what it was."""
        self._last: Any = None
        self.interrupted = False
        self.used_wrongly: list[str] = []
        """What only the end of a session shows."""
        self.drills: dict[str, str] = {}
        """Node id -> name of each drill that was asked for."""

    def tell(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: Any, *, drill: str, entry: Entry | None
    ) -> None:
        """A refuted claim fails in one line, a doubt is neither passed nor failed, wrong usage is told in one line.

        What one drill lacks costs that drill; the session ends when a second one comes to the same error. ``entry``
        has the whole drill in quarantine: nothing that it comes to fails but wrong usage.
        """
        report.drill_name = drill
        error = call.excinfo.value if call.excinfo is not None else None
        if isinstance(error, UsageError):
            if str(error) in self._told:
                item.session.shouldstop = "the same wrong usage again"
            self._told.append(str(error))
            report.longrepr = f"usage: {error}"
            report.drill_usage = str(error)
            report.drill_unreachable = isinstance(error, StackError)
        elif isinstance(error, DrillQuarantined) or (entry is not None and report.failed):
            said = str(error) if isinstance(error, DrillQuarantined) or entry is None else f"{entry.terms}: {error!r}"
            report.outcome = "skipped"
            report.drill_quarantined = True
            report.longrepr = (str(item.path), (item.location[1] or 0) + 1, f"QUARANTINED {said}")
        elif isinstance(error, (*OURS, DrillInconclusive)):
            report.outcome = "skipped"
            report.drill_inconclusive = True
            report.longrepr = (str(item.path), (item.location[1] or 0) + 1, f"INCONCLUSIVE: {error}")
            if call.when == "setup":  # no verdict says it
                report.drill_unbegun = str(error)
        elif isinstance(error, DrillFailed):
            report.drill_refuted = True
            report.longrepr = f"FAIL: {error}"
        elif report.failed and isinstance(error, Exception) and not isinstance(error, AssertionError):
            report.drill_broke = text(f"{type(error).__name__}: {error}")  # its traceback stays

    def note(self, report: Any) -> None:
        """One report, of whichever process; noted twice it says no more than once. What is in doubt counts as failed
        last (``--lf``): it is not done with."""
        if report is self._last:
            return
        self._last = report
        if drill := getattr(report, "drill_name", ""):
            self.drills[report.nodeid] = drill
        if (usage := getattr(report, "drill_usage", None)) is not None:
            self._usage_errors.append(usage)
        if (why := getattr(report, "drill_unbegun", None)) is not None:
            self._unbegun[report.nodeid] = why
        if getattr(report, "drill_inconclusive", False):
            self._doubts.add(report.nodeid)
        if getattr(report, "drill_refuted", False):
            self._refuted.add(report.nodeid)
        if report.failed and (broke := getattr(report, "drill_broke", None) or self._crashed(report)):
            self._broken.append((report.nodeid, broke))
        if report.nodeid in self._doubts | self._refuted:
            last = getattr(self._config.pluginmanager.get_plugin("lfplugin"), "lastfailed", None)
            if last is not None:
                last[report.nodeid] = True

    def all_drills(self, session: pytest.Session) -> list[str]:
        """Names of the drills of a session that had all there are; nothing where a part was asked for (a file, ``-k``,
        ``--lf``), or where it did not get to its end."""
        option, cut = session.config.option, self.interrupted or session.shouldstop or session.shouldfail
        chosen = [option.keyword, option.markexpr, option.deselect, getattr(option, "lf", False)]
        one_file = [word for word in session.config.args if "::" in word or _A_FILE.search(word)]
        return [] if cut or any(chosen) or one_file else list(dict.fromkeys(self.drills.values()))

    def _crashed(self, report: Any) -> str:
        """Which worker of pytest-xdist was killed, by the report that stands for a test's own; else empty."""
        return str(report.longrepr) if report.when == CRASHED and self._begun() else ""

    def lines(self) -> list[str]:
        """What a person has to be told beside the table."""
        doubts = [f"INCONCLUSIVE: {nodeid}: {shown(why)}" for nodeid, why in self._unbegun.items()]
        doubts += [f"INCONCLUSIVE: {nodeid}: {shown(why)}: not the stack's doing" for nodeid, why in self._broken]
        wrong = dict.fromkeys([*self._usage_errors, *self.used_wrongly])
        return [*(f"ERROR: {error}" for error in wrong), *doubts]

    def status(self, status: int, answers: Iterable[Answer], *, failed: int) -> int:
        """The session's, from the one that pytest came to, the verdicts' outcomes, and how many reports have failed.

        A verdict stays: where a plugin runs a refuted drill again and it passes, the claim was refuted all the same.
        """
        answers = set(answers)
        refuted = bool(self._refuted) or Answer.FAIL in answers
        if self._usage_errors or self.used_wrongly:
            return ExitCode.USAGE
        stopped = status == ExitCode.INTERRUPTED and not self.interrupted
        if refuted:
            return ExitCode.FAILED if stopped or status == ExitCode.PASSED else status
        if self._broken and failed == len(self._broken) and (stopped or status == ExitCode.FAILED):
            return ExitCode.INCONCLUSIVE
        if status == ExitCode.PASSED and (self._doubts or Answer.INCONCLUSIVE in answers):
            return ExitCode.INCONCLUSIVE
        return status


def without_repeat(item: pytest.Item, text: str) -> str:
    """A name or node id as it is where nobody repeats the test: pytest-repeat adds which time it is."""
    if "__pytest_repeat_step_number" not in getattr(getattr(item, "callspec", None), "params", {}):
        return text
    return re.sub(r"[-\[]\d+-\d+\]$", lambda found: "]" if found[0].startswith("-") else "", text)
