"""``servedrill ci``: drills as a gate that nobody watches."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servedrill.files.arguments import some_path

if TYPE_CHECKING:
    from servedrill.ci.night import Night
    from servedrill.ci.running import Sessions

ARTIFACTS = ".servedrill/ci"
_RECORDS = ("record.jsonl", "record-again.jsonl")


def register(commands: Any) -> None:
    """Add ``ci`` to the commands."""
    ci = commands.add_parser(
        "ci",
        allow_abbrev=False,
        usage="servedrill ci [options] [pytest's arguments]",
        help="drills as a gate: budgets, comparison with the last green run, summary, JUnit",
        description="Run drills and say in one word what they came to. Everything that is not listed here goes to "
        "pytest: `servedrill ci drills --drill-stack staging.toml`. Exit status 0 green, 1 the stack did not hold or "
        "its error budget is spent, 4 wrong usage, 6 nobody can say.",
    )
    ci.add_argument(
        "--baseline",
        default="last-green",
        metavar="RUN",
        help="what to compare with: last-green (of each drill), none, a run's folder, or another folder of runs",
    )
    ci.add_argument(
        "--fail-on-worse", action="store_true", help="red when a figure is shown to have got worse, not only a note"
    )
    ci.add_argument("--no-second-try", action="store_true", help="what nobody could judge is not tried again")
    ci.add_argument(
        "--artifacts",
        type=some_path,
        default=Path(ARTIFACTS),
        metavar="DIR",
        help="where summary, JUnit and report are written (default: %(default)s)",
    )
    ci.add_argument(
        "--tell",
        action="store_true",
        help="run nothing: write them from what the last one noted down, as after a job that was killed",
    )
    ci.set_defaults(run=_ci, rest=[])


def _ci(given: argparse.Namespace) -> int:
    from servedrill.ci.baseline import require_baseline
    from servedrill.ci.running import Sessions
    from servedrill.leases.stack_lock import held, lock_folder

    require_baseline(given.baseline)
    folder: Path = given.artifacts.resolve()
    noun = "folder of artifacts"  # two runs on two stacks may not write into one
    with held(str(folder), lock_folder(), what="servedrill ci", noun=noun), Sessions() as sessions:
        night = _noted(folder) if given.tell else _run(given, folder, sessions)
        return _told(given, night, folder)


def _run(given: argparse.Namespace, folder: Path, sessions: Sessions) -> Night:
    from servedrill.ci.night import Night
    from servedrill.ci.record import read_try

    first, second = (folder / name for name in _RECORDS)
    _emptied(folder)
    # Named before all other plugins, see servedrill.plugin.recorder.
    recorded = ["-p", "servedrill.plugin.recorder"]
    statuses = [sessions.run([*recorded, f"--drill-record={first}", *given.rest])]
    tries = [read_try(first)]
    if tries[0].may_go_on and not sessions.stopped_by and not sessions.died and not given.no_second_try:
        print(f"servedrill ci: another try for {len(tries[0].unfinished)} that nobody could judge", flush=True)
        again = [f"--drill-record={second}", f"--drill-record-before={first}", *tries[0].same_seed]
        statuses.append(sessions.run([*recorded, *again, *given.rest]))
        tries.append(read_try(second))
    return Night(tries=tries, statuses=statuses, stopped_by=sessions.stopped_by, died=sessions.died)


def _noted(folder: Path) -> Night:
    """What is on record of a night that did not get to its end."""
    from servedrill.ci.night import Night
    from servedrill.ci.record import read_try
    from servedrill.errors import UsageError

    paths = [path for name in _RECORDS if (path := folder / name).is_file()]
    if not paths:
        raise UsageError("nothing was noted down", where=str(folder), expected="the --artifacts of a `servedrill ci`")
    tries = [read_try(path) for path in paths]
    statuses = [one.ended.status for one in tries if one.ended is not None]
    return Night(tries=tries, statuses=statuses, died="" if tries[-1].ended is not None else "it was killed")


def _told(given: argparse.Namespace, night: Night, folder: Path) -> int:
    from servedrill.ci.artifacts import lines, look_at, write_artifacts
    from servedrill.reporting.shown import shown

    told = look_at(night, baseline=given.baseline, worse_gates=given.fail_on_worse)
    annotations = write_artifacts(told, folder)
    for line in lines(told, folder):
        print(shown(line), flush=True)
    for line in annotations:
        print(line, flush=True)
    return int(told.outcome.code)


def _emptied(folder: Path) -> None:
    """What an earlier night left must not look like this one's. Raises `UsageError` where it cannot be written."""
    from servedrill.ci.artifacts import JUNIT, OUTPUTS, RESULT, SUMMARY
    from servedrill.errors import UsageError
    from servedrill.reporting.page import FILE as PAGE

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*_RECORDS, JUNIT, OUTPUTS, RESULT, SUMMARY, PAGE):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror}", where=str(folder), expected="a folder for artifacts"
        ) from error
