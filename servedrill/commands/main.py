"""``servedrill``: the commands beside pytest."""

from __future__ import annotations

import sys
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


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; see `servedrill.errors.ExitCode`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["toxiproxy"]:
        from servedrill.toxiproxy.cli import main as toxiproxy

        return toxiproxy(arguments[1:])
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    if hasattr(given, "rest"):
        given.rest = rest  # for pytest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return int(given.run(given))
    except UsageError as error:
        print(f"servedrill: {_shown(error)}", file=sys.stderr)
        return ExitCode.USAGE
    except ServedrillError as error:
        print(f"servedrill: {_shown(error)}", file=sys.stderr)
        return ExitCode.FAILED


def _shown(error: ServedrillError) -> str:
    from servedrill.reporting.shown import shown

    return shown(str(error))


def _parser() -> Parser:
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
