"""What a night is compared with: for each drill the last run before it in which it held, here or in another folder."""

from __future__ import annotations

from pathlib import Path

import msgspec

from servedrill.checkers.finding import Answer
from servedrill.errors import UsageError
from servedrill.reporting.listing import conclusions
from servedrill.runs.baseline import compare_runs
from servedrill.runs.compare import DrillComparison
from servedrill.runs.index import Wanted, open_index
from servedrill.runs.layout import RUN
from servedrill.runs.stored import StoredDrill, StoredRun, read_run

LAST_GREEN, NOTHING = "last-green", "none"


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Drills that were held against one run."""

    before: str
    """The run's name."""
    drills: list[DrillComparison]

    @property
    def lines(self) -> list[str]:
        """What follows, in a sentence each."""
        return conclusions(self.drills)

    @property
    def worse(self) -> list[str]:
        """Figures that are shown to have got worse, where it is known how far such runs lie from each other: one run
        against one tells a slower stack from a busier machine by nothing.

        That a drill does not hold any more gates by itself.
        """
        names = {one.drill for one in self.drills if one.worse and one.siblings and one.on_time}
        return [line for line in self.lines if line.partition(":")[0] in names and " got worse, " in line]


def compare_with(run: StoredRun, wanted: str) -> list[Compared]:
    """The night's drills against ``wanted``: `LAST_GREEN`, a run's folder, or a folder of runs.

    Drills that were never proven there are left out. Raises `UsageError` for a folder that is neither.
    """
    if wanted == NOTHING:
        return []
    path = run.folder.parent if wanted == LAST_GREEN else Path(wanted)
    if (path / RUN).is_file():
        before = read_run(path.resolve())
        names = {drill.name for drill in before.drills}
        chosen = {before.folder: [drill for drill in run.drills if drill.name in names]}
    else:
        chosen = _last_green(run, path)
    return [
        Compared(
            before=folder.name,
            drills=compare_runs(read_run(folder), msgspec.structs.replace(run, drills=drills)),
        )
        for folder, drills in chosen.items()
        if drills
    ]


def _last_green(run: StoredRun, runs: Path) -> dict[Path, list[StoredDrill]]:
    """Run's folder -> drills that held there last, on the same stack and asked for in the same way."""
    found: dict[Path, list[StoredDrill]] = {}
    with open_index(runs) as index:
        for drill in run.drills:
            wanted = Wanted(
                drill=drill.name,
                answer=Answer.PASS,
                stack=drill.stack_name or None,
                until=run.about.began if runs.resolve() == run.folder.parent.resolve() else None,
            )
            for row in index.find(wanted):
                if row.control == run.about.options.control and row.defects == sorted(run.about.options.defects):
                    found.setdefault(runs.resolve() / row.name, []).append(drill)
                    break
    return found


def require_baseline(wanted: str) -> None:
    """Raise `UsageError` before anything runs for a folder that has no run."""
    if wanted in (LAST_GREEN, NOTHING):
        return
    path = Path(wanted)
    if not (path / RUN).is_file() and not any(path.glob(f"*/{RUN}")):
        raise UsageError(
            "no run in it",
            where=f"--baseline {wanted}",
            expected=f"{LAST_GREEN}, {NOTHING}, a run's folder, or a folder of runs (as a branch's artifact has them)",
        )
