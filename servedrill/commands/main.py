"""``servedrill``: the commands beside pytest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from servedrill._version import __version__
from servedrill.commands import alerts, budget, compare, judge, report, runs, schema, slo, stack
from servedrill.errors import ExitCode, ServedrillError, UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; see `servedrill.errors.ExitCode`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["toxiproxy"]:
        from servedrill.toxiproxy.cli import main as toxiproxy

        return toxiproxy(arguments[1:])
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except UsageError as error:
        print(f"servedrill: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except ServedrillError as error:
        print(f"servedrill: {error}", file=sys.stderr)
        return ExitCode.FAILED


class _Parser(argparse.ArgumentParser):
    """Wrong arguments are usage errors like any other: one line, exit status 4."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Say it and exit."""
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="servedrill",
        description="Failure drills for LLM and GPU serving stacks. The drills themselves run as `pytest drills`.",
    )
    parser.add_argument("--version", action="version", version=f"servedrill {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    for command in (stack, judge, report, runs, compare, slo, budget, alerts, schema):
        command.register(commands)
    commands.add_parser(
        "toxiproxy", help="run the fault proxy (Toxiproxy's API); `servedrill toxiproxy --help` tells more"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
