"""The command line of the fault proxy: `python -m servedrill.toxiproxy`."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import secrets
import sys
from collections.abc import Sequence

import uvloop

from servedrill.errors import ExitCode, UsageError
from servedrill.files.arguments import Parser, port_or_zero, seed, some_path, some_text
from servedrill.host.prctl import end_with_parent
from servedrill.toxiproxy.api import VERSION
from servedrill.toxiproxy.server import Settings, serve


def parser() -> Parser:
    """Of its command line."""
    parser = Parser(
        prog="servedrill toxiproxy",
        description="A fault proxy that speaks Toxiproxy's HTTP API, aware of HTTP/1.1 and of event streams.",
    )
    parser.add_argument(
        "--host", type=some_text, default="127.0.0.1", help="where the control API listens (default: %(default)s)"
    )
    parser.add_argument(
        "--allow-host",
        type=some_text,
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which clients reach the control API, besides localhost and addresses; repeatable",
    )
    parser.add_argument(
        "--port", type=port_or_zero, default=8474, help="its port; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument("--config", type=some_path, metavar="FILE.json", help="proxies and toxics to begin with")
    parser.add_argument("--seed", type=seed, metavar="N", help="replays every draw of a run with the same seed")
    parser.add_argument("--metrics", action="store_true", help="switch GET /metrics on")
    parser.add_argument(
        "--api-version",
        type=some_text,
        default=VERSION,
        metavar="X",
        help="what GET /version says, for clients that ask (default: %(default)s)",
    )
    parser.add_argument(
        "--port-file", type=some_path, metavar="PATH", help="write the control port here once it listens"
    )
    parser.add_argument("--die-with-parent", action="store_true", help="end with the process that started this one")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server; the result is the exit status."""
    given = parser().parse_args(argv)
    settings = Settings(
        host=given.host,
        port=given.port,
        config=given.config,
        seed=secrets.randbits(32) if given.seed is None else given.seed,
        metrics=given.metrics,
        api_version=given.api_version,
        port_file=given.port_file,
        known_hosts=tuple(name.lower() for name in given.allow_host),
    )
    if given.die_with_parent:
        with contextlib.suppress(OSError):  # whoever started it ends it, or the watchdog
            end_with_parent()
    _allow_many_sockets()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except UsageError as problem:
        print(f"toxiproxy: {problem}", file=sys.stderr)
        return ExitCode.USAGE
    return ExitCode.PASSED


def _allow_many_sockets() -> None:
    """Each connection takes two descriptors, and the usual soft limit of 1,024 is a limit for select() only."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
