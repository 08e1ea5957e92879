"""``servedrill``: the commands beside pytest."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from servedrill._version import __version__
from servedrill.commands import alerts, budget, slo
from servedrill.commands.runs import add_commands
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
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="servedrill",
        description="Failure drills for LLM and GPU serving stacks. The drills themselves run as `pytest drills`.",
    )
    parser.add_argument("--version", action="version", version=f"servedrill {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    stack = commands.add_parser("stack", help="play with a stack by hand")
    actions = stack.add_subparsers(title="actions", metavar="ACTION", required=True)
    up = actions.add_parser("up", help="start it and keep it until Ctrl-C")
    up.add_argument("--stack", type=Path, metavar="FILE", help="stack file (TOML); default: the embedded stack")
    up.add_argument(
        "--defect",
        action="append",
        default=[],
        metavar="MODULE:CLASS",
        help="start it with this policy (module:Class or path.py:Class); repeatable",
    )
    up.add_argument("--folder", type=Path, metavar="DIR", help="where logs go (default: a temporary folder)")
    up.set_defaults(run=_stack_up)

    judge = commands.add_parser(
        "judge", help="judge the stored histories of a run again, with the checkers of this version"
    )
    judge.add_argument("folder", type=Path, metavar="RUN", help="a run's folder, or one drill's folder inside it")
    judge.add_argument(
        "--slo", type=Path, metavar="FILE", help="by the SLOs of this file instead of those it was run with"
    )
    judge.set_defaults(run=_judge)

    for part in (slo, budget, alerts):
        part.register(commands)
    add_commands(commands)

    commands.add_parser(
        "toxiproxy", help="run the fault proxy (Toxiproxy's API); `servedrill toxiproxy --help` tells more"
    )
    return parser


def _stack_up(given: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from servedrill.dialect.openai import PATHS
    from servedrill.leases.guard import Guard
    from servedrill.leases.keeper import StackKeeper
    from servedrill.refstack.policies import BadDefect, Policies
    from servedrill.stacks.file import read_stack_file
    from servedrill.stacks.lifecycle import stack_up
    from servedrill.stacks.protocols import lacking

    file = read_stack_file(given.stack)
    try:
        Policies(given.defect)
    except BadDefect as error:
        raise UsageError(str(error), where="--defect") from None
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    folder = given.folder or Path(tempfile.mkdtemp(prefix="servedrill-"))
    folder.mkdir(parents=True, exist_ok=True)
    console, guard = Console(), Guard(folder)
    try:
        keeper = StackKeeper(guard)
        try:
            with stack_up(
                file, folder, on_undo=keeper, defects=given.defect, seed=secrets.randbelow(1 << 31), limit_memory=False
            ) as stack:
                entry, hops = stack.entry(), stack.hops()
                table = Table("what", "where", title=f"the stack {stack.name!r} is up", title_justify="left")
                doors = {name: _at(entry.base_url, host) for name, host in stack.addresses().items()} or {
                    "users": entry.base_url
                }
                for name, url in doors.items():
                    table.add_row(f"{name}, through its proxy" if name in hops else name, url)
                for replica in stack.replicas():
                    table.add_row(replica.name, replica.url)
                if not lacking(stack, "Named"):
                    table.add_row("DNS name", f"{entry.base_url} at DNS server {entry.resolver}")
                if not lacking(stack, "Alerting"):
                    table.add_row("alerts", f"{stack.alerts_url()}/api/v2/alerts")
                for url in stack.control_urls():
                    table.add_row("processes", url)
                replicas = [replica.name for replica in stack.replicas()]
                for hop in hops:
                    if hop not in replicas:
                        table.add_row(f"{hop}, through its proxy", stack.hop_address(hop))
                if hops:
                    table.add_row("fault proxy (Toxiproxy's API)", f"http://{stack.proxy_api()}")
                table.add_row("logs", str(folder / "logs"))
                console.print(table)
                console.print("Try:", style="bold")
                message = (
                    '{"model": "'
                    + stack.promises.model
                    + '", "stream": true, "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}'
                )
                json_ = "-H 'content-type: application/json'"
                url = next(iter(doors.values()))
                console.print(f"  curl -N {url}{PATHS['chat']} {json_} -d '{message}'", soft_wrap=True, markup=False)
                console.print("Ctrl-C ends it.")
                stopped.wait()
        finally:
            keeper.close()
    finally:
        guard.close()
    return ExitCode.PASSED


def _at(url: str, host: str) -> str:
    """The URL with another host."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{host}:{parts.port}").geturl()


def _judge(given: argparse.Namespace) -> int:
    from servedrill.checkers.finding import Answer
    from servedrill.reporting.console import console_for, print_summary
    from servedrill.runs.gate import given_objectives
    from servedrill.runs.layout import HISTORY
    from servedrill.runs.verdicts import judge_folder

    folder: Path = given.folder
    drills = [folder] if (folder / HISTORY).is_file() else sorted(path.parent for path in folder.glob(f"*/{HISTORY}"))
    if not drills:
        raise UsageError(
            "no drill's history in it", where=str(folder), expected=f"a folder with {HISTORY}, or one with such folders"
        )
    objectives = given_objectives(given.slo) if given.slo else []
    verdicts = [judge_folder(drill, *objectives) for drill in drills]
    print_summary(console_for(sys.stdout), verdicts, str(folder))
    answers = {verdict.answer for verdict in verdicts}
    if Answer.FAIL in answers:
        return ExitCode.FAILED
    return ExitCode.INCONCLUSIVE if Answer.INCONCLUSIVE in answers else ExitCode.PASSED


if __name__ == "__main__":
    sys.exit(main())
