"""``servedrill stack``: play with a stack by hand."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from servedrill.errors import ExitCode
from servedrill.files.arguments import some_path, some_text

if TYPE_CHECKING:
    from rich.table import Table


def register(commands: Any) -> None:
    """Add ``stack`` to the commands."""
    stack = commands.add_parser("stack", help="play with a stack by hand")
    actions = stack.add_subparsers(title="actions", metavar="ACTION", required=True)
    up = actions.add_parser("up", help="start it and keep it until Ctrl-C")
    up.add_argument("--stack", type=some_path, metavar="FILE", help="stack file (TOML); default: the embedded stack")
    up.add_argument(
        "--defect",
        type=some_text,
        action="append",
        default=[],
        metavar="MODULE:CLASS",
        help="start it with this policy (module:Class or path.py:Class); repeatable",
    )
    up.add_argument("--folder", type=some_path, metavar="DIR", help="where logs go (default: a temporary folder)")
    up.set_defaults(run=_up)


def _up(given: argparse.Namespace) -> int:
    from servedrill.leases.guard import Guard
    from servedrill.reporting.tables import console_for
    from servedrill.session.options import check_defects
    from servedrill.session.stack import guarded_stack
    from servedrill.stacks.reading import read_stack_file
    from servedrill.stacks.secrets_of import require_hidden

    file = read_stack_file(given.stack)
    require_hidden(file)
    check_defects(given.defect, where="--defect")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    folder = given.folder or Path(tempfile.mkdtemp(prefix="servedrill-"))
    folder.mkdir(parents=True, exist_ok=True)
    console = console_for(sys.stdout)
    seed = secrets.randbelow(1 << 31)
    with (
        contextlib.closing(Guard(folder)) as guard,
        guarded_stack(file, folder, guard, defects=given.defect, seed=seed) as stack,
    ):
        doors = _doors(stack)
        console.print(_table(stack, doors, folder / "logs"))
        console.print("Try:", style="bold")
        console.print(f"  {_request(next(iter(doors.values())), stack.promises.model)}", soft_wrap=True, markup=False)
        console.print("Ctrl-C ends it.")
        stopped.wait()
    return ExitCode.PASSED


def _doors(stack: Any) -> dict[str, str]:
    """Gateway -> the URL where users come in by it."""
    from servedrill.stacks.protocols import Named

    url = stack.entry().base_url
    addresses = stack.addresses() if isinstance(stack, Named) else {}
    return {name: _at(url, host) for name, host in addresses.items()} or {"users": url}


def _at(url: str, host: str) -> str:
    """The URL with another host."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{host}:{parts.port}").geturl()


def _table(stack: Any, doors: dict[str, str], logs: Path) -> Table:
    """Everything of the stack that can be reached, and where."""
    from rich.table import Table

    from servedrill.stacks.capabilities import lacking
    from servedrill.stacks.on_machine import OnThisMachine
    from servedrill.stacks.protocols import Proxied

    entry, hops = stack.entry(), stack.hops() if isinstance(stack, Proxied) else []
    table = Table("what", "where", title=f"the stack {stack.name!r} is up", title_justify="left")
    for name, url in doors.items():
        table.add_row(f"{name}, through its proxy" if name in hops else name, url)
    for replica in stack.replicas():
        table.add_row(replica.name, replica.url)
    if not lacking(stack, "Named"):
        table.add_row("DNS name", f"{entry.base_url} at DNS server {entry.resolver}")
    if not lacking(stack, "Alerting"):
        table.add_row("alerts", f"{stack.alerts_url()}/api/v2/alerts")
    for url in stack.control_urls() if isinstance(stack, OnThisMachine) else ():
        table.add_row("processes", url)
    replicas = [replica.name for replica in stack.replicas()]
    for hop in hops:
        if hop not in replicas:
            table.add_row(f"{hop}, through its proxy", stack.hop_address(hop))
    if hops:
        table.add_row("fault proxy (Toxiproxy's API)", f"http://{stack.proxy_api()}")
    table.add_row("logs", str(logs))
    return table


def _request(url: str, model: str) -> str:
    """A streamed chat, as a command."""
    from servedrill.dialect.openai import PATHS

    message = (
        f'{{"model": "{model}", "stream": true, "max_tokens": 8, "messages": [{{"role": "user", "content": "hello"}}]}}'
    )
    return f"curl -N {url}{PATHS['chat']} -H 'content-type: application/json' -d '{message}'"
