"""What the tries of one `servedrill ci` come to together: each test once, with what was said of it the first time."""

from __future__ import annotations

from pathlib import Path

import msgspec

from servedrill.ci.record import Asked, Case, Try
from servedrill.errors import UsageError
from servedrill.runs.stored import StoredRun, read_run


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A test that had another try."""

    before: Case
    after: Case


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """One or two tries."""

    tries: list[Try]
    """The first, and another one if there was one."""
    statuses: list[int] = []
    """Exit status of each, as far as it is known."""
    stopped_by: str = ""
    """The signal that ended it: SIGTERM; empty where none did."""
    died: str = ""
    """How pytest ended where it did not end by itself: ``SIGKILL``."""

    @property
    def asked(self) -> Asked | None:
        """None where pytest did not get so far."""
        return next((one.asked for one in self.tries if one.asked is not None), None)

    @property
    def tests(self) -> list[Case]:
        """Each once, by its last word: that of a try that began it and was cut off counts no more than what was known
        before."""
        found: dict[str, Case] = {}
        for one in self.tries:
            found |= {name: test for name, test in one.tests.items() if test.word != "begun" or name not in found}
        return list(found.values())

    @property
    def again(self) -> list[Again]:
        """Those that had another try."""
        if len(self.tries) < 2:
            return []
        first, second = self.tries[0].tests, self.tries[1].tests
        return [Again(before=first[name], after=test) for name, test in second.items() if name in first]

    @property
    def told(self) -> list[str]:
        """Wrong usage that belongs to no test."""
        return [line for one in self.tries if one.ended is not None for line in one.ended.told]

    @property
    def folders(self) -> list[Path]:
        """Of the runs that there are."""
        return [path for one in self.tries if one.folder and (path := Path(one.folder)).is_dir()]

    def run(self) -> StoredRun | None:
        """All drills as one run: the first's, with what was drilled again in its place. None where there is none, or
        none can be read."""
        try:
            runs = [read_run(folder) for folder in self.folders]
        except UsageError:
            return None
        if not runs:
            return None
        drills = {drill.verdict.drill: drill for run in runs for drill in run.drills}
        return msgspec.structs.replace(runs[0], drills=list(drills.values()))
