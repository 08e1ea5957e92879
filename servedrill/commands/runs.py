"""``servedrill runs``: the runs of a folder, listed."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from servedrill.errors import ExitCode
from servedrill.files.arguments import seed, some_path, some_text
from servedrill.runs.layout import RUNS

LISTED_MAX, DRAWN_MAX = 50, 5000


def register(commands: Any) -> None:
    """Add ``runs`` to the commands."""
    runs = commands.add_parser(
        "runs",
        help="list runs: date, seed, stack, verdicts, duration",
        description="List the runs of a folder, the latest first.",
    )
    runs.add_argument(
        "--runs", type=some_path, default=Path(RUNS), metavar="DIR", help="their folder (default: %(default)s)"
    )
    runs.add_argument("--drill", type=some_text, metavar="NAME", help="runs that had this drill")
    runs.add_argument(
        "--verdict",
        choices=["pass", "fail", "inconclusive"],
        help="runs that came to this; with --drill, where that drill did",
    )
    runs.add_argument("--stack", type=some_text, metavar="NAME", help="runs on this stack")
    runs.add_argument("--seed", type=seed, metavar="N", help="runs from this seed")
    runs.add_argument("--since", type=_instant, metavar="DATE", help="that began on or after it, UTC: 2026-11-01")
    runs.add_argument("--until", type=_instant, metavar="DATE", help="that began before it")
    runs.add_argument(
        "--limit", type=_positive, metavar="N", help=f"at most so many (default: {LISTED_MAX}, on a page {DRAWN_MAX})"
    )
    runs.add_argument("--json", action="store_true", help="as JSON")
    runs.add_argument(
        "--html",
        type=some_path,
        nargs="?",
        const=Path(),
        metavar="FILE",
        help="draw all runs of the folder on a page: verdicts, times, budgets, what changed (default: DIR/trend.html)",
    )
    runs.add_argument("--rebuild", action="store_true", help="make the index of the folder anew")
    runs.set_defaults(run=_runs)


def _runs(given: argparse.Namespace) -> int:
    import msgspec

    from servedrill.checkers.finding import Answer
    from servedrill.reporting.listing import print_runs
    from servedrill.reporting.tables import console_for
    from servedrill.runs.index import Wanted, open_index

    wanted = Wanted(
        drill=given.drill,
        answer=Answer(given.verdict) if given.verdict else None,
        stack=given.stack,
        seed=given.seed,
        since=given.since,
        until=given.until,
        limit=given.limit or (LISTED_MAX if given.html is None else DRAWN_MAX),
    )
    if given.html is not None:
        from servedrill.reporting.trend import FILE, write_trend

        target = given.runs / FILE if given.html == Path() else given.html
        write_trend(given.runs, target, wanted=wanted, rebuild=given.rebuild)
        print(f"runs over time: {target}")
        return ExitCode.PASSED
    with open_index(given.runs, rebuild=given.rebuild) as index:
        rows = index.find(wanted)
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode())
    elif rows:
        print_runs(console_for(sys.stdout), rows)
    else:
        print(f"no such run in {given.runs}")
    return ExitCode.PASSED


def _instant(text: str) -> str:
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; expected one like 2026-11-01") from None


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"{text[:40]!r}; expected a number from 1 to 999999999")
    return int(text)
