"""The fault proxy of a stack: which server, and at which hops it stands.

[proxy]
server = "embedded"                  # or a program ("toxiproxy-server"), or the URL of one that runs
hops = ["gateways", "engines"]       # groups, or single names

[[proxy.hop]]                        # any other hop: whoever connects to `listen` gets to `upstream`
name = "vector-db"
listen = "127.0.0.1:19530"
upstream = "10.0.0.7:19530"

A server that we start ends with the stack. On one that runs already only what we made is removed, at the end or, after
a crash, by the watchdog; its other proxies are never touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from servedrill.control.bounded import call, read, refused, told
from servedrill.control.toxiproxies import error_of
from servedrill.errors import NotInTime, StackError, UsageError
from servedrill.files.logs import tail
from servedrill.files.meant import meant
from servedrill.host.addresses import join_host_port
from servedrill.host.clock import wait_for
from servedrill.leases.keeper import UndoKeeper
from servedrill.leases.marked import Marked
from servedrill.leases.undo import HttpCall

EMBEDDED = "embedded"
_UP_WITHIN_S = 20.0


class ExtraHop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hop that the stack does not know of; addresses are ``host:port``."""

    name: str
    listen: str
    upstream: str


class ProxyTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[proxy]`` of a stack file."""

    server: str = EMBEDDED
    hops: list[str] = msgspec.field(default_factory=lambda: ["gateways", "engines"])
    hop: list[ExtraHop] = []

    def selected(self, groups: Mapping[str, Iterable[str]], *, where: str) -> set[str]:
        """Names of ``groups`` (group -> its members) that get a proxy. Raises `UsageError` for one that is in none."""
        members = {group: list(names) for group, names in groups.items()}
        known = {*members, *(name for names in members.values() for name in names)}
        chosen: set[str] = set()
        for name in self.hops:
            if name not in known:
                what, expected, hint = unknown_hop(name, members)
                raise UsageError(f"proxy.hops: {what}", where=where, expected=expected, hint=hint)
            chosen.update(members.get(name, [name]))
        return chosen

    @property
    def url(self) -> str:
        """Of a server that runs already; empty where we start one."""
        return self.server if "://" in self.server else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """A proxy to be made; ``tap`` notes each HTTP exchange, where the server can."""

    name: str
    listen: str
    upstream: str
    tap: bool = False


class _Theirs(msgspec.Struct, frozen=True):
    listen: str


class Proxies:
    """The server, from `start` to `close`; without any hop there is none."""

    def __init__(self, table: ProxyTable, *, logs: Path, seed: int, on_undo: UndoKeeper) -> None:
        self._table, self._logs, self._seed, self._on_undo = table, logs, seed, on_undo
        self._process: subprocess.Popen[bytes] | None = None
        self._address = ""
        self._listens: dict[str, str] = {}

    @property
    def address(self) -> str:
        """``host:port`` of the control API. Raises `StackError` where no hop has a proxy."""
        if not self._address:
            raise StackError(
                "no hop has a proxy", where="proxy", hint="the `proxy` table of the stack file says which hops do"
            )
        return self._address

    @property
    def pid(self) -> int | None:
        """The server's, where we started one."""
        return self._process.pid if self._process is not None else None

    @property
    def names(self) -> list[str]:
        """The hops that have one."""
        return list(self._listens)

    def listen_of(self, hop: str) -> str:
        """``host:port`` where a hop is entered."""
        return self._listens[hop]

    def start(self, *, port: int) -> None:
        """Start the server on ``port``, or find the one that runs already. Raises `UsageError` when that is none."""
        if self._table.url:
            self._address = control_address(self._table.url)
            self._greet()
            return
        command = [sys.executable, "-m", "servedrill.toxiproxy", "--port", str(port), "--seed", str(self._seed)]
        if self._table.server != EMBEDDED:
            command = [program(self._table.server), "-host", "127.0.0.1", "-port", str(port)]
        self._logs.mkdir(parents=True, exist_ok=True)
        marked = Marked()
        self._on_undo.keep("process", marked.undo())
        with self._log.open("ab") as log:
            self._process = marked.start(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"LOG_LEVEL": "warn", **os.environ},
            )
        self._address = f"127.0.0.1:{port}"

    def make(self, hops: Iterable[Hop]) -> None:
        """Put a proxy at each hop, and at those of ``[[proxy.hop]]``, when the server is up. Raises `UsageError`."""
        self._wait_until_up()
        hops = [*hops, *(Hop(name=h.name, listen=h.listen, upstream=h.upstream) for h in self._table.hop)]
        if self._table.url:
            self._refuse_collisions(hops)
        for hop in hops:
            if self._table.url:
                gone = HttpCall(address=self._address, method="DELETE", path=f"/proxies/{hop.name}")
                self._on_undo.keep("proxy", gone)
            self._listens[hop.name] = hop.listen
            body = {"name": hop.name, "listen": hop.listen, "upstream": hop.upstream, "enabled": True}
            body |= {"mirror": True}  # nothing to an original server, which ignores what it does not know
            try:
                answer = self._call("POST", "/proxies", {**body, "tap": True} if hop.tap else body)
            except httpx.HTTPError as error:
                raise StackError(f"the proxy {hop.name} was not made: {told(error)}", where=self._where) from error
            if answer.status_code != 201:
                del self._listens[hop.name]  # somebody else's, or none: not ours to remove
                raise StackError(
                    f"the proxy {hop.name} cannot listen on {hop.listen}: {error_of(answer)}", where=self._where
                )

    def close(self) -> None:
        """End the server, or remove from it what we made; nothing to do a second time."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        elif self._listens:
            left = [name for name in reversed(self._listens) if not self._removed(name)]
            self._listens.clear()
            if left:
                raise StackError(f"{', '.join(left)} cannot be removed", where=self._where)
        self._listens.clear()

    def _removed(self, name: str) -> bool:
        try:
            self._call("DELETE", f"/proxies/{name}")
            return self._call("GET", f"/proxies/{name}").status_code == 404
        except httpx.ConnectError as error:
            return refused(error)  # the server is gone, and its proxies with it
        except httpx.HTTPError:
            return False

    def _call(self, method: str, path: str, body: Any = None, *, timeout_s: float = 5.0) -> httpx.Response:
        return call(method, f"http://{self._address}{path}", timeout_s=timeout_s, json=body)

    @property
    def _where(self) -> str:
        return f"fault proxy at {self._address}"

    @property
    def _log(self) -> Path:
        return self._logs / "toxiproxy.log"

    def _wait_until_up(self) -> None:
        process = self._process

        def up_or_dead() -> bool:
            return process is None or process.poll() is not None or self._is_up()

        try:
            wait_for(up_or_dead, what="the fault proxy", within_s=_UP_WITHIN_S)
        except NotInTime as error:
            raise StackError(
                f"the fault proxy did not get ready within {error.waited_s:.0f} s", hint=tail(self._log)
            ) from error
        if process is not None and process.poll() is not None:
            raise StackError(f"the fault proxy did not start: exit status {process.returncode}", hint=tail(self._log))

    def _is_up(self) -> bool:
        try:
            return self._call("GET", "/version", timeout_s=0.5).status_code == 200
        except httpx.HTTPError:
            return False

    def _greet(self) -> None:
        try:
            answer = self._call("GET", "/version")
        except httpx.HTTPError as error:
            raise StackError(
                f"no server answers at {self._table.url}: {told(error)}",
                where="proxy.server",
                expected="a Toxiproxy server that runs",
                hint='start it, or leave that to servedrill: server = "embedded"',
            ) from error
        try:
            is_toxiproxy = answer.status_code == 200 and "version" in read(answer, dict[str, Any])
        except httpx.HTTPError:
            is_toxiproxy = False
        if not is_toxiproxy:
            raise StackError(
                f"what answers at {self._table.url} is no Toxiproxy server",
                where="proxy.server",
                expected='GET /version with {"version": ...}',
            )

    def _refuse_collisions(self, hops: list[Hop]) -> None:
        try:
            theirs = read(self._call("GET", "/proxies"), dict[str, _Theirs])
        except httpx.HTTPError as error:
            raise StackError(f"does not say what proxies it has: {told(error)}", where="proxy.server") from error
        listens = {proxy.listen: name for name, proxy in theirs.items()}
        for hop in hops:
            other = hop.name if hop.name in theirs else listens.get(hop.listen)
            if other is not None:
                raise StackError(
                    f"{self._table.url} has a proxy {other!r} on {theirs[other].listen} already; "
                    f"ours is {hop.name!r} on {hop.listen}",
                    where="proxy.server",
                    expected="a server without proxies of these names and addresses",
                    hint=f"remove it if it is left over: curl -X DELETE {self._table.url.rstrip('/')}/proxies/{other}",
                )


def unknown_hop(name: str, groups: Mapping[str, Iterable[str]]) -> tuple[str, str, str]:
    """What is wrong with a name that is no group and no member of one, what was expected, and what to do about it."""
    names = sorted({name for members in groups.values() for name in members} - set(groups))
    if name == "dns":
        hint = "DNS questions are UDP, which Toxiproxy does not carry; `DnsChange` changes what the name answers"
    else:
        hint = meant(name, [*groups, *names]) or "a `proxy.hop` table makes a hop of your own"
    return f"no hop {name!r}", f"some of {', '.join([*groups, *names])}", hint


def program(name: str) -> str:
    """The path of a server's program. Raises `UsageError` where there is none."""
    found = shutil.which(name)
    if found is None:
        raise UsageError(
            f"is {name!r}, and there is no such program" + ("" if "/" in name else " on PATH"),
            where="proxy.server",
            expected='"embedded", a program, or a URL such as "http://127.0.0.1:8474"',
        )
    return found


def control_address(url: str) -> str:
    """``host:port`` of a control API's URL. Raises `UsageError` for a URL that is none of a control API."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme != "http" or not parts.hostname or port is None or parts.path not in ("", "/") or parts.query:
        raise UsageError(f"is {url!r}", where="proxy.server", expected="a URL such as http://127.0.0.1:8474")
    return join_host_port(parts.hostname, port)
