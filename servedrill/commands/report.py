"""``servedrill report``: a run drawn as a page, or written in other formats."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from servedrill.errors import ExitCode, UsageError
from servedrill.files.arguments import some_path, some_url
from servedrill.files.whole import write_whole, written_json
from servedrill.runs.layout import LATEST, RUNS


def register(commands: Any) -> None:
    """Add ``report`` to the commands."""
    report = commands.add_parser(
        "report",
        help="draw a run as one HTML page; or as Markdown, OpenMetrics, a Chaos Toolkit journal",
        description="Draw a run as one HTML page that opens anywhere, offline. "
        "With another format and without -o, only that is written. A verdict that cannot be read is made again from "
        "its history; exit code 6 where something is lost all the same.",
    )
    report.add_argument(
        "run_folder",
        type=some_path,
        nargs="?",
        default=Path(RUNS, LATEST),
        metavar="RUN",
        help="a run's folder (default: %(default)s)",
    )
    report.add_argument("-o", "--output", type=some_path, metavar="FILE", help="the page (default: RUN/report.html)")
    report.add_argument("--markdown", action="store_true", help="print a summary in Markdown, as for a CI job's page")
    report.add_argument(
        "--openmetrics", type=some_path, metavar="FILE", help="verdicts, times and figures as OpenMetrics text"
    )
    report.add_argument("--push", type=some_url, metavar="URL", help="the same, pushed to a Prometheus Pushgateway")
    report.add_argument(
        "--chaostoolkit",
        type=some_path,
        metavar="FILE",
        help="a Chaos Toolkit journal; of several drills one each, FILE-<drill>.json",
    )
    report.add_argument(
        "--pictures",
        type=some_path,
        metavar="DIR",
        help="the table as SVG and the page as PNG (needs Chromium), for a README",
    )
    report.set_defaults(run=_report)


def _report(given: argparse.Namespace) -> int:
    from servedrill.reporting.page import FILE, drill_page, write_page
    from servedrill.reporting.shown import shown
    from servedrill.runs.stored import read_run

    damage: list[bool] = []

    def tell(error: UsageError, lost: bool) -> None:
        damage.append(lost)
        meanwhile = "the report does without it" if lost else "the report has what its history comes to now"
        print(f"servedrill: {shown(str(error))}; {meanwhile}", file=sys.stderr)

    run = read_run(given.run_folder.resolve(), on_damage=tell)
    if given.markdown:
        from servedrill.reporting.markdown import summary

        sys.stdout.write(summary(run))
    if given.openmetrics:
        from servedrill.reporting.openmetrics import openmetrics

        write_whole(given.openmetrics, openmetrics(run))
    if given.push:
        from servedrill.reporting.openmetrics import push

        push(run, given.push)
    if given.chaostoolkit:
        _write_journals(run.drills, given.chaostoolkit)
    if given.pictures:
        from servedrill.reporting.pictures import write_pictures

        for picture in write_pictures(run, given.pictures):
            print(picture)
    others = (given.markdown, given.openmetrics, given.push, given.chaostoolkit, given.pictures)
    if given.output or not any(others):
        page = given.output or run.folder / FILE
        write_page(run, page, [drill_page(drill) for drill in run.drills])
        print(page)
    return ExitCode.INCONCLUSIVE if any(damage) else ExitCode.PASSED


def _write_journals(drills: list[Any], path: Path) -> None:
    from servedrill.history.source import Lines
    from servedrill.reporting.chaostoolkit import journal
    from servedrill.runs.digest import Digest

    for drill in drills:
        target = path if len(drills) == 1 else path.with_name(f"{path.stem}-{drill.name}{path.suffix or '.json'}")
        made = journal(drill, Digest(Lines(drill.history, kept_max_bytes=0)))
        write_whole(target, written_json(made))
        print(target)
