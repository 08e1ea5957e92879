"""``servedrill compare``: what got worse from one run to another."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from servedrill.errors import ExitCode
from servedrill.files.arguments import some_path


def register(commands: Any) -> None:
    """Add ``compare`` to the commands."""
    compare = commands.add_parser(
        "compare",
        help="what got worse from one run to another, with the noise taken into account",
        description="Compare two runs drill by drill. Exit status 1 when something is shown to have got worse.",
    )
    compare.add_argument("before", type=some_path, metavar="A", help="the baseline's folder")
    compare.add_argument("after", type=some_path, metavar="B", help="the folder of the run that is held against it")
    compare.add_argument(
        "--confidence", type=_share, default=0.99, metavar="P", help="of each interval (default: %(default)s)"
    )
    compare.add_argument("--json", action="store_true", help="as JSON")
    compare.set_defaults(run=_compare)


def _compare(given: argparse.Namespace) -> int:
    import msgspec

    from servedrill.reporting.listing import got_worse, print_comparison
    from servedrill.reporting.tables import console_for
    from servedrill.runs.baseline import compare_runs
    from servedrill.runs.stored import read_run

    before, after = read_run(given.before.resolve()), read_run(given.after.resolve())
    comparisons = compare_runs(before, after, confidence=given.confidence)
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(comparisons), indent=1).decode())
    else:
        print_comparison(console_for(sys.stdout), comparisons, before=before.folder.name, after=after.folder.name)
    return ExitCode.FAILED if got_worse(comparisons) else ExitCode.PASSED


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.5 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a share from 0.5 to below 1")
    return value
