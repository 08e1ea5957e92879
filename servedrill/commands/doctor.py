"""``servedrill doctor``: what a stack allows and what not, before any drill runs."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servedrill.errors import ExitCode, UsageError
from servedrill.files.arguments import some_path

if TYPE_CHECKING:
    from servedrill.stacks.file import StackFile


def register(commands: Any) -> None:
    """Add ``doctor`` to the commands."""
    doctor = commands.add_parser(
        "doctor",
        help="say what a stack allows and what not, drill by drill, before any runs",
        description="Look at a stack as each drill does when it begins (a handful of short questions; nothing is "
        "broken) and say which claims can be judged on it, which never, and what to do about that. Exit status: 0 "
        "where all can be judged that is not left out, 6 where something is lacking, 4 where nothing answers.",
    )
    doctor.add_argument(
        "drills",
        nargs="*",
        metavar="DRILL",
        help="as pytest takes them (default: the folder drills, else those that come with servedrill)",
    )
    add_stack(doctor)
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.add_argument(
        "--measure",
        action="store_true",
        help="find out what it can promise with a small load, a minute at most, and write that into the stack file",
    )
    doctor.add_argument(
        "--within",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="with --measure: how long it may take (60); a slow service needs more",
    )
    doctor.set_defaults(run=_doctor)


def add_stack(parser: argparse.ArgumentParser) -> None:
    """Options that say which stack."""
    parser.add_argument(
        "--stack", type=some_path, metavar="FILE", help="stack file; default: the one pytest would drill"
    )
    parser.add_argument("--url", metavar="URL", help="a service without a stack file: where users come in")
    parser.add_argument("--model", metavar="NAME", help="with --url: the model to ask for, where there are several")
    parser.add_argument(
        "--api-key-env", metavar="NAME", help="with --url: the environment variable that holds the key it asks for"
    )


def stack_of(given: argparse.Namespace, configured: str | None) -> StackFile:
    """The stack that is meant; ``configured``: the file that pytest would drill.

    Raises `UsageError` for a file with mistakes, a URL where nothing of use answers, options that contradict.
    """
    from servedrill.stacks.newcomer import look_at
    from servedrill.stacks.reading import read_stack_file
    from servedrill.stacks.secrets_of import require_hidden

    if given.url is None:
        if given.model or given.api_key_env:
            raise UsageError("--model and --api-key-env say something of a --url", where="doctor", expected="--url URL")
        path = given.stack or (Path(configured) if configured else None)
        file = read_stack_file(path)
    else:
        if given.stack is not None:
            raise UsageError("--stack and --url name two stacks", where="doctor", expected="one of them")
        found = look_at(given.url, api_key_env=given.api_key_env)
        file = found.stack_file(found.model(given.model))
    require_hidden(file)
    return file


def _seconds(text: str) -> float:
    """Raises `argparse.ArgumentTypeError`."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 30 <= value <= 1800:
        raise argparse.ArgumentTypeError(f"{text[:40]!r}; expected 30 to 1800 seconds")
    return value


def _doctor(given: argparse.Namespace) -> int:
    from servedrill.commands.collected import collected
    from servedrill.commands.doctor_shown import show, written
    from servedrill.host.machine import require_machine
    from servedrill.reporting.tables import console_for
    from servedrill.session.checkup import check_up

    require_machine()
    named = given.stack or given.url
    file = stack_of(given, None) if named else None
    drills, configured, objectives = collected(given.drills)
    file = file or stack_of(given, configured)
    unknown = None
    if given.measure:
        if given.json:
            raise UsageError("--measure writes a stack file, and no JSON", where="doctor", expected="one of them")
        file, unknown = _measured(file, objectives, within_s=given.within)
    with tempfile.TemporaryDirectory(prefix="servedrill-doctor-") as folder:
        checkup = check_up(file, Path(folder), drills, unknown=unknown)
    if given.json:
        print(written(checkup))
    else:
        show(console_for(sys.stdout), checkup)
    return ExitCode.PASSED if checkup.complete else ExitCode.INCONCLUSIVE


def _measured(file: StackFile, objectives: str | None, *, within_s: float) -> tuple[StackFile, dict[str, str]]:
    """Measure it, say what was found, and write that down; the stack with what it promises now, and what is not
    known."""
    from servedrill.commands.measured import fit, measured, promising

    found = measured(file, within_s=within_s)
    promises = promising(file, found)
    if objectives and file.path:
        fit(Path(objectives), found)
    return promises, found.unknown
