"""``servedrill report``: what is known of a run, as a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from servedrill.errors import ExitCode

LATEST = Path(".servedrill/runs/latest")


def add_report(commands: Any) -> None:
    """Register the command with argparse's subparsers."""
    parser = commands.add_parser(
        "report",
        help="draw a run as one HTML page",
        description="Draw a run as one HTML page that opens anywhere, offline.",
    )
    parser.add_argument(
        "run_folder", type=Path, nargs="?", default=LATEST, metavar="RUN", help="a run's folder (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the page (default: RUN/report.html)")
    parser.set_defaults(run=_report)


def _report(given: argparse.Namespace) -> int:
    from servedrill.reporting.page import FILE, write_page
    from servedrill.reporting.runs import read_run

    run = read_run(given.run_folder.resolve())
    page = given.output or run.folder / FILE
    write_page(run, page)
    print(page)
    return ExitCode.PASSED
