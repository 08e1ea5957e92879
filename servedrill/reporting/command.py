"""``servedrill report``, ``servedrill schema``: what is known of a run, for people and for machines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from servedrill.errors import ExitCode, UsageError

LATEST = Path(".servedrill/runs/latest")


def add_commands(commands: Any) -> None:
    """Register the commands with argparse's subparsers."""
    report = commands.add_parser(
        "report",
        help="draw a run as one HTML page; or as Markdown, OpenMetrics, a Chaos Toolkit journal",
        description="Draw a run as one HTML page that opens anywhere, offline. With another format and without -o, only that is written.",
    )
    report.add_argument(
        "run_folder", type=Path, nargs="?", default=LATEST, metavar="RUN", help="a run's folder (default: %(default)s)"
    )
    report.add_argument("-o", "--output", type=Path, metavar="FILE", help="the page (default: RUN/report.html)")
    report.add_argument("--markdown", action="store_true", help="print a summary in Markdown, as for a CI job's page")
    report.add_argument(
        "--openmetrics", type=Path, metavar="FILE", help="verdicts, times and figures as OpenMetrics text"
    )
    report.add_argument(
        "--chaostoolkit",
        type=Path,
        metavar="FILE",
        help="a Chaos Toolkit journal; of several drills one each, FILE-<drill>.json",
    )
    report.set_defaults(run=_report)

    schema = commands.add_parser("schema", help="write JSON Schemas of run.json, verdicts.json and a history's lines")
    schema.add_argument("folder", type=Path, metavar="DIR", help="where to")
    schema.set_defaults(run=_schema)


def _report(given: argparse.Namespace) -> int:
    from servedrill.reporting.page import FILE, drill_page, write_page
    from servedrill.reporting.runs import read_run

    run = read_run(given.run_folder.resolve())
    if given.markdown:
        from servedrill.reporting.markdown import summary

        sys.stdout.write(summary(run))
    if given.openmetrics:
        from servedrill.reporting.openmetrics import openmetrics

        _write(given.openmetrics, openmetrics(run))
    if given.chaostoolkit:
        _write_journals(run.drills, given.chaostoolkit)
    if given.output or not (given.markdown or given.openmetrics or given.chaostoolkit):
        page = given.output or run.folder / FILE
        write_page(run, page, [drill_page(drill) for drill in run.drills])
        print(page)
    return ExitCode.PASSED


def _write_journals(drills: list[Any], path: Path) -> None:
    import msgspec

    from servedrill.history.journal import iter_events
    from servedrill.reporting.chaostoolkit import journal
    from servedrill.reporting.digest import Digest

    for drill in drills:
        target = path if len(drills) == 1 else path.with_name(f"{path.stem}-{drill.name}{path.suffix or '.json'}")
        made = journal(drill, Digest(iter_events(drill.history)))
        _write(target, msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
        print(target)


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing: a collector may read at any moment."""
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror}", where=str(path), expected="a place for a file"
        ) from error


def _schema(given: argparse.Namespace) -> int:
    from servedrill.reporting.schema import write_schemas

    for path in write_schemas(given.folder):
        print(path)
    return ExitCode.PASSED
