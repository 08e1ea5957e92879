"""Starting in order: each command as soon as those that it comes after are ready, or never where one will not be."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from servedrill.control.bounded import told
from servedrill.errors import StackError
from servedrill.files.logs import read_log, tail
from servedrill.stacks.commands import Command
from servedrill.stacks.keeper import Keeper
from servedrill.stacks.roles import OTHER


def start_in_order(
    commands: Sequence[Command],
    keepers: Mapping[str, Keeper],
    *,
    port: Callable[[str], int],
    http: httpx.Client,
    logs: Path,
    where: str,
) -> None:
    """Until all are ready.

    Raises `StackError`, with the end of its log, for an engine or gateway that ends before, and for what takes longer
    than it may.
    """
    waiting = {command.name: command for command in commands}
    started: dict[str, float] = {}
    ready: set[str] = set()
    while waiting:
        for name, command in list(waiting.items()):
            if name not in started:
                if ready.issuperset(command.after):
                    keepers[name].start(name)
                    started[name] = time.monotonic()
                continue
            log = logs / f"{name}.log"
            view = keepers[name].view(name)
            if view["last_exit"] and command.role != OTHER:
                raise StackError(f"{name} ended before it was ready: {view['last_exit']}", where=where, hint=tail(log))
            missing = _missing(command, port=port, http=http, log=log)
            if not missing:
                ready.add(name)
                del waiting[name]
            elif command.ready and time.monotonic() - started[name] > command.ready.within_s:
                raise StackError(
                    f"{name} not ready after {command.ready.within_s:g} s: {missing}",
                    where=where,
                    expected=f"200 from {command.ready.path or 'its log'}",
                    hint=tail(log),
                )
        time.sleep(0.05)


def _missing(command: Command, *, port: Callable[[str], int], http: httpx.Client, log: Path) -> str:
    """What it takes to be ready and is not there yet; empty when it is ready."""
    ready = command.ready
    if ready is None:
        return ""
    if ready.log and not re.search(ready.log, read_log(log)):
        return f"its log has not shown {ready.log!r}"
    if not ready.path:
        return ""
    try:
        status = http.get(f"http://127.0.0.1:{port(command.name)}{ready.path}", timeout=2).status_code
    except httpx.HTTPError as error:
        return f"{ready.path} {told(error)}"
    return "" if status == 200 else f"{ready.path} answered {status}"
