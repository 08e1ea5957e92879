"""``servedrill table``: what runs on several stacks came to, side by side."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from servedrill.errors import ExitCode
from servedrill.files.arguments import some_path


def register(commands: Any) -> None:
    """Add ``table`` to the commands."""
    table = commands.add_parser(
        "table",
        help="claims down, stacks across: what runs on several stacks came to",
        description="Print a table in Markdown: a row for each claim, a column for each stack. "
        "Several runs on one stack share a column, which then says how many came to its answer.",
    )
    table.add_argument("run_folders", type=some_path, nargs="+", metavar="RUN", help="a run's folder")
    table.add_argument("--json", action="store_true", help="as JSON")
    table.set_defaults(run=_table)


def _table(given: argparse.Namespace) -> int:
    import msgspec

    from servedrill.reporting.claims_table import claims_of, claims_table
    from servedrill.runs.stored import read_run

    runs = [read_run(folder.resolve()) for folder in given.run_folders]
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(claims_of(runs)), indent=1).decode())
    else:
        sys.stdout.write(claims_table(runs))
    return ExitCode.PASSED
