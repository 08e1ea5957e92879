"""``servedrill judge``: the stored histories of a run judged again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from servedrill.errors import ExitCode, UsageError
from servedrill.files.arguments import some_path


def register(commands: Any) -> None:
    """Add ``judge`` to the commands."""
    judge = commands.add_parser(
        "judge", help="judge the stored histories of a run again, with the checkers of this version"
    )
    judge.add_argument("folder", type=some_path, metavar="RUN", help="a run's folder, or one drill's folder inside it")
    judge.add_argument(
        "--slo", type=some_path, metavar="FILE", help="by the SLOs of this file instead of those it was run with"
    )
    judge.set_defaults(run=_judge)


def _judge(given: argparse.Namespace) -> int:
    from servedrill.checkers.finding import Answer
    from servedrill.reporting.console import print_summary
    from servedrill.reporting.shown import shown
    from servedrill.reporting.tables import console_for
    from servedrill.runs.gate import given_objectives
    from servedrill.runs.layout import HISTORY
    from servedrill.runs.verdicts import judge_folder

    folder: Path = given.folder
    drills = [folder] if (folder / HISTORY).exists() else sorted(path.parent for path in folder.glob(f"*/{HISTORY}"))
    if not drills:
        raise UsageError(
            "no drill's history in it", where=str(folder), expected=f"a folder with {HISTORY}, or one with such folders"
        )
    objectives = given_objectives(given.slo) if given.slo else []
    verdicts, damaged = [], []
    for drill in drills:
        try:
            verdicts.append(judge_folder(drill, *objectives))
        except UsageError as error:
            if len(drills) == 1:
                raise
            damaged.append(error)
            print(f"servedrill: {shown(str(error))}; the others are judged without it", file=sys.stderr)
    if not verdicts:
        return ExitCode.USAGE
    print_summary(console_for(sys.stdout), verdicts, str(folder))
    answers = {verdict.answer for verdict in verdicts}
    if Answer.FAIL in answers:
        return ExitCode.FAILED
    return ExitCode.INCONCLUSIVE if damaged or Answer.INCONCLUSIVE in answers else ExitCode.PASSED
