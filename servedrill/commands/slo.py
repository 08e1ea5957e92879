"""``servedrill slo``: check SLO files, and say what they mean."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from servedrill.errors import ExitCode
from servedrill.files.arguments import some_path


def register(commands: Any) -> None:
    """Add ``slo`` to the commands: what argparse's ``add_subparsers`` gave, whose type has no public name."""
    slo = commands.add_parser("slo", help="SLO files: OpenSLO v1 as YAML, JSON or TOML (docs/slo.md)")
    actions = slo.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check", help="say everything that is wrong with SLO files, each mistake with line and column"
    )
    check.add_argument(
        "files", type=some_path, nargs="+", metavar="FILE", help="references reach over all of the files"
    )
    check.set_defaults(run=_check)
    show = actions.add_parser("show", help="say in plain words what SLO files mean")
    show.add_argument("files", type=some_path, nargs="+", metavar="FILE")
    show.set_defaults(run=_show)


def _check(given: argparse.Namespace) -> int:
    from servedrill.slo.alerting import unwatched
    from servedrill.slo.openslo import check

    file, mistakes = check(given.files)
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    if mistakes:
        print(f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}", file=sys.stderr)
        return ExitCode.USAGE
    slos = sum(slo.agreement == "slo" for slo in file.slos)
    files = f"{len(given.files)} file{'s' if len(given.files) > 1 else ''}"
    print(f"{files}: {slos} SLO, {len(file.slos) - slos} SLA, no mistake")
    for slo in file.slos:
        if without := unwatched(slo):
            print(f"{slo.name}: {without}")
    return ExitCode.PASSED


def _show(given: argparse.Namespace) -> int:
    from servedrill.reporting.tables import console_for
    from servedrill.slo.openslo import read_slos
    from servedrill.slo.words import explained

    console = console_for(sys.stdout)
    for index, slo in enumerate(read_slos(*given.files).slos):
        if index:
            console.print()
        first, *more = explained(slo)
        console.print(first, style="bold", markup=False, soft_wrap=True)
        for sentence in more:
            console.print(f"  {sentence}", markup=False, soft_wrap=True)
    return ExitCode.PASSED
