"""``servedrill report``, ``runs``, ``compare``, ``schema``: what is known of runs, for people and for machines."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from servedrill.errors import ExitCode
from servedrill.files.whole import write_whole

RUNS = Path(".servedrill/runs")
LATEST = RUNS / "latest"


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
    report.add_argument("--push", metavar="URL", help="the same, pushed to a Prometheus Pushgateway")
    report.add_argument(
        "--chaostoolkit",
        type=Path,
        metavar="FILE",
        help="a Chaos Toolkit journal; of several drills one each, FILE-<drill>.json",
    )
    report.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="the table as SVG and the page as PNG (needs Chromium), for a README",
    )
    report.set_defaults(run=_report)

    runs = commands.add_parser(
        "runs",
        help="list runs: date, seed, stack, verdicts, duration",
        description="List the runs of a folder, the latest first.",
    )
    runs.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="their folder (default: %(default)s)")
    runs.add_argument("--drill", metavar="NAME", help="runs that had this drill")
    runs.add_argument(
        "--verdict",
        choices=["pass", "fail", "inconclusive"],
        help="runs that came to this; with --drill, where that drill did",
    )
    runs.add_argument("--stack", metavar="NAME", help="runs on this stack")
    runs.add_argument("--seed", type=int, metavar="N", help="runs from this seed")
    runs.add_argument("--since", type=_instant, metavar="DATE", help="that began on or after it, UTC: 2026-11-01")
    runs.add_argument("--until", type=_instant, metavar="DATE", help="that began before it")
    runs.add_argument("--limit", type=_positive, default=50, metavar="N", help="at most so many (default: %(default)s)")
    runs.add_argument("--json", action="store_true", help="as JSON")
    runs.add_argument("--rebuild", action="store_true", help="make the index of the folder anew")
    runs.set_defaults(run=_runs)

    compare = commands.add_parser(
        "compare",
        help="what got worse from one run to another, with the noise taken into account",
        description="Compare two runs drill by drill. Exit status 1 when something is shown to have got worse.",
    )
    compare.add_argument("before", type=Path, metavar="A", help="the baseline's folder")
    compare.add_argument("after", type=Path, metavar="B", help="the folder of the run that is held against it")
    compare.add_argument(
        "--confidence", type=_share, default=0.99, metavar="P", help="of each interval (default: %(default)s)"
    )
    compare.add_argument("--json", action="store_true", help="as JSON")
    compare.set_defaults(run=_compare)

    schema = commands.add_parser("schema", help="write JSON Schemas of run.json, verdicts.json and a history's lines")
    schema.add_argument("folder", type=Path, metavar="DIR", help="where to")
    schema.set_defaults(run=_schema)


def _report(given: argparse.Namespace) -> int:
    from servedrill.reporting.page import FILE, drill_page, write_page
    from servedrill.runs.stored import read_run

    run = read_run(given.run_folder.resolve())
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
    return ExitCode.PASSED


def _write_journals(drills: list[Any], path: Path) -> None:
    import msgspec

    from servedrill.history.journal import iter_events
    from servedrill.reporting.chaostoolkit import journal
    from servedrill.runs.digest import Digest

    for drill in drills:
        target = path if len(drills) == 1 else path.with_name(f"{path.stem}-{drill.name}{path.suffix or '.json'}")
        made = journal(drill, Digest(iter_events(drill.history)))
        write_whole(target, msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
        print(target)


def _runs(given: argparse.Namespace) -> int:
    import msgspec

    from servedrill.checkers.finding import Answer
    from servedrill.reporting.console import console_for
    from servedrill.reporting.listing import print_runs
    from servedrill.runs.index import Wanted, open_index

    wanted = Wanted(
        drill=given.drill,
        answer=Answer(given.verdict) if given.verdict else None,
        stack=given.stack,
        seed=given.seed,
        since=given.since,
        until=given.until,
        limit=given.limit,
    )
    with open_index(given.runs, rebuild=given.rebuild) as index:
        rows = index.find(wanted)
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode())
    elif rows:
        print_runs(console_for(sys.stdout), rows)
    else:
        print(f"no such run in {given.runs}")
    return ExitCode.PASSED


def _compare(given: argparse.Namespace) -> int:
    import msgspec

    from servedrill.reporting.console import console_for
    from servedrill.reporting.listing import got_worse, print_comparison
    from servedrill.runs.baseline import compare_runs
    from servedrill.runs.stored import read_run

    before, after = read_run(given.before.resolve()), read_run(given.after.resolve())
    comparisons = compare_runs(before, after, confidence=given.confidence)
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(comparisons), indent=1).decode())
    else:
        print_comparison(console_for(sys.stdout), comparisons, before=before.folder.name, after=after.folder.name)
    return ExitCode.FAILED if got_worse(comparisons) else ExitCode.PASSED


def _instant(text: str) -> str:
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; expected one like 2026-11-01") from None


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number above 0")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.5 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a share from 0.5 to below 1")
    return value


def _schema(given: argparse.Namespace) -> int:
    from servedrill.reporting.schema import write_schemas

    for path in write_schemas(given.folder):
        print(path)
    return ExitCode.PASSED
