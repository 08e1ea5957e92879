"""``servedrill halt``, ``release`` and ``heal``: stop everything, allow it again, undo what a dead run has left."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servedrill.errors import ExitCode
from servedrill.files.arguments import some_folder
from servedrill.runs.layout import RUNS

if TYPE_CHECKING:
    from servedrill.leases.left import Left

_HEALED_WITHIN_S = 5.0
"""Ten times what it takes; then we undo it ourselves."""


def register(commands: Any) -> None:
    """Add all three to the commands."""
    halt = commands.add_parser(
        "halt",
        help="heal everything that is broken, now, and let nothing new start",
        description="Pull the safety lever of a folder of runs. Whatever is broken there is healed at once, drills and "
        "game days that go on stop, and no new one starts before `servedrill release`.",
    )
    halt.add_argument("--reason", required=True, metavar="TEXT", help="why, for whoever finds everything stopped")
    halt.add_argument("--by", default="", metavar="NAME", help="who you are (default: your user's name)")
    halt.set_defaults(run=_halt)
    release = commands.add_parser("release", help="release the safety lever: drills may start again")
    release.set_defaults(run=_release)
    heal = commands.add_parser(
        "heal",
        help="undo whatever runs that were killed have left",
        description="Read the undo records of every run in the folder, and carry out those that are still open and "
        "whose process is gone. What a run that goes on has broken is left to it; `servedrill halt` ends that.",
    )
    heal.set_defaults(run=_heal)
    for command in (halt, release, heal):
        command.add_argument("--runs", type=some_folder, default=Path(RUNS), metavar="DIR", help=f"default: {RUNS}")


def _halt(given: argparse.Namespace) -> int:
    from servedrill.leases.lever import pull

    broken, began = _faults(given.runs), time.monotonic()
    halt = pull(given.runs, reason=given.reason, by=given.by)
    _healed(given.runs, within_s=_HEALED_WITHIN_S)
    late = _faults(given.runs)
    undone = [left for left in late if left.undo()]
    took_s = time.monotonic() - began
    print(f"{halt}.")
    print(
        _counted(len(broken), "fault was", "faults were") + " in place: " + _names(broken)
        if broken
        else "Nothing was broken."
    )
    if broken and not late:
        print(f"All healed {took_s:.1f} s later, and proven by whoever broke it.")
    if undone:
        print(f"Undone from here, as nobody else did within {_HEALED_WITHIN_S:.0f} s: {_names(undone)}.")
    print(f"Nothing starts before `servedrill release --runs {given.runs}`.")
    still = [left for left in late if left not in undone]
    if still:
        print(f"NOT UNDONE: {_names(still)}; see watchdog.log in {still[0].run}.")
    return ExitCode.INCONCLUSIVE if still else ExitCode.PASSED


def _release(given: argparse.Namespace) -> int:
    from servedrill.leases.lever import release

    halt = release(given.runs)
    print(f"Released. It was {halt}." if halt else "The lever was not pulled.")
    return ExitCode.PASSED


def _heal(given: argparse.Namespace) -> int:
    from servedrill.leases.left import left_in

    found = list(left_in(given.runs))
    running = [left for left in found if left.running]
    dead = [left for left in found if not left.running]
    undone = [left for left in dead if left.undo()]
    if running:
        whose = ", ".join(
            sorted({f"{left.run.name} (pid {left.lease.owner.pid})" for left in running if left.lease.owner})
        )
        print(f"Left to the run that goes on: {_names(running)}, of {whose}. `servedrill halt` heals it now.")
    for left in undone:
        print(f"Undone: {left.what}, which {left.run.name} had left.")
    still = [left for left in dead if left not in undone]
    for left in still:
        print(f"NOT UNDONE: {left.what}, which {left.run.name} has left: {left.lease.undo}")
    if not found:
        print(f"Nothing is left of any run in {given.runs}.")
    return ExitCode.INCONCLUSIVE if still else ExitCode.PASSED


def _faults(runs: Path) -> list[Left]:
    from servedrill.leases.left import left_in

    return [left for left in left_in(runs) if left.lease.of_a_fault]


def _healed(runs: Path, *, within_s: float) -> None:
    """Wait until those who broke things have healed them."""
    import contextlib

    from servedrill.errors import NotInTime
    from servedrill.host.clock import wait_for

    with contextlib.suppress(NotInTime):
        wait_for(lambda: not _faults(runs), what="faults to be healed", within_s=within_s, every_s=0.05)


def _names(found: list[Left]) -> str:
    return ", ".join(sorted(left.what for left in found))


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
