"""``servedrill``: the commands beside pytest."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from servedrill._version import __version__
from servedrill.commands import (
    alerts,
    budget,
    ci,
    compare,
    doctor,
    files,
    gameday,
    halt,
    init,
    judge,
    report,
    runs,
    schema,
    slo,
    stack,
    table,
)
from servedrill.errors import ExitCode, ServedrillError, UsageError
from servedrill.files.arguments import Parser

_PIPE_CLOSED = 141
"""As a shell has it of a program that SIGPIPE has ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; see `servedrill.errors.ExitCode`."""
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except (ServedrillError, OSError) as error:
        ours = error if isinstance(error, ServedrillError) else refused(error)
        print(f"servedrill: {_shown(ours)}", file=sys.stderr)
        return ExitCode.USAGE if isinstance(ours, UsageError) else ExitCode.INCONCLUSIVE
    except Exception as error:
        from servedrill.secrecy.known import hidden

        print(hidden(traceback.format_exc()), file=sys.stderr)
        told = f"{type(error).__name__}: {error}: an error of servedrill itself, and no word about a stack"
        print(f"servedrill: {_shown(ServedrillError(told))}", file=sys.stderr)
        return ExitCode.INCONCLUSIVE


def refused(error: OSError) -> UsageError:
    """What the machine says to a path that somebody gave, or to this program."""
    where = str(error.filename) if error.filename is not None else "this machine"
    return UsageError(f"cannot be used: {error.strerror or error}", where=where)


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["toxiproxy"]:
        from servedrill.toxiproxy.cli import main as toxiproxy

        return toxiproxy(arguments[1:])
    one = parser()
    given, rest = one.parse_known_args(arguments)
    if hasattr(given, "rest"):
        given.rest = rest  # for pytest
    elif rest:
        one.error(f"unrecognized arguments: {' '.join(rest)}")
    return int(given.run(given))


def _shown(error: ServedrillError) -> str:
    from servedrill.reporting.shown import shown

    return shown(str(error))


def parser() -> Parser:
    """Of all commands."""
    parser = Parser(
        prog="servedrill",
        description="Failure drills for LLM and GPU serving stacks. The drills themselves run as `pytest drills`.",
    )
    parser.add_argument("--version", action="version", version=f"servedrill {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    for command in (
        init,
        doctor,
        stack,
        ci,
        judge,
        report,
        runs,
        compare,
        table,
        slo,
        budget,
        alerts,
        gameday,
        halt,
        schema,
        files,
    ):
        command.register(commands)
    commands.add_parser(
        "toxiproxy", help="run the fault proxy (Toxiproxy's API); `servedrill toxiproxy --help` tells more"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
