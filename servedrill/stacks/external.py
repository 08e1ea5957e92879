"""A stack of URLs that somebody else runs: traffic, what its metrics say, and a fault proxy where its traffic was led
through one.

Nothing destructive can be done to it but by hooks that its file gives, and no host is touched that it does not name.
"""

from __future__ import annotations

import dataclasses
import signal as signals
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from servedrill.control.bounded import client, told
from servedrill.dialect.openai import base
from servedrill.errors import StackError
from servedrill.files.whole import written_json
from servedrill.history.dialect import Spoken
from servedrill.history.promises import Promises
from servedrill.host.addresses import join_host_port, split_host_port
from servedrill.host.ports import free_ports
from servedrill.host.processes import ProcessId, identify, pid_listening
from servedrill.leases.keeper import UndoKeeper
from servedrill.secrecy.known import text
from servedrill.stacks.external_rules import check_external
from servedrill.stacks.file import StackFile
from servedrill.stacks.first_look import first_look
from servedrill.stacks.hooks import Life, run_hook
from servedrill.stacks.kinds import StackKind
from servedrill.stacks.protocols import Entry, Part, Replica
from servedrill.stacks.proxied import ThroughProxies
from servedrill.stacks.proxies import Hop, Proxies
from servedrill.stacks.roles import ENGINE, served_by

_IDENTITY_EVERY_S = 1.0
_REDIRECTS_MAX = 3


class ExternalStack(ThroughProxies):
    """Somebody's running stack; `up` looks at it and puts proxies where the file wants them, `down` removes those."""

    shared = True

    def __init__(
        self, file: StackFile, folder: Path, *, defects: list[str], seed: int, on_undo: UndoKeeper, limit_memory: bool
    ) -> None:
        assert file.promises is not None and file.external is not None
        self.name, self.environment = file.name, file.environment
        self.promises: Promises = file.promises
        self.spoken = Spoken()
        self.lacks = _lacks(file)
        self._file, self._folder = file, folder
        self._http = client(timeout_s=5)
        self._proxies = Proxies(file.proxy, logs=folder / "logs", seed=seed, on_undo=on_undo)
        self._replicas: list[Replica] = []
        self._identities: dict[str, tuple[float, str]] = {}
        self._starts: dict[str, list[str]] = {}
        self._here = _on_loopback(file)
        self._lives: dict[str, ProcessId] = {}

    # ---- up and down

    def up(self) -> None:
        """Raises `StackError` when nothing answers, with another model, or to another key."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "stack.json").write_bytes(written_json(self._file))
        proxied = [replica for replica in self._file.replica if replica.listen]
        self._replicas = [
            Replica(
                name=r.name,
                role=r.role,
                serves=served_by(r.role, r.serves),
                url=base(r.url),
                hop=r.name if r.listen else "",
                metrics=r.metrics,
                health=r.health,
                api_key_env=r.api_key_env,
            )
            for r in self._file.replica
        ]
        if proxied or self._file.proxy.hop:
            self._proxies.start(port=free_ports(1)[0])
            engines = {r.name for r in self._file.replica if r.role == ENGINE}
            tapped = engines if engines <= {r.name for r in proxied} else set()
            self._proxies.make(
                Hop(name=r.name, listen=r.listen, upstream=_address(r.url), tap=r.name in tapped) for r in proxied
            )
        self.spoken = first_look(
            self._file, self._http, self.entry().base_url, hint=lambda: "is it up, and is this its address?"
        )
        self._replicas = [self._with_metrics(one) if one.scraped else one for one in self._replicas]

    def down(self) -> None:
        """Remove our proxies; the stack itself is left as it is. Nothing to do a second time."""
        self._http.close()
        self._proxies.close()

    def _with_metrics(self, replica: Replica) -> Replica:
        """The replica, its metrics where the server itself says that they are: LiteLLM sends /metrics to /metrics/."""
        page, status = httpx.URL(replica.metrics_url), "no answer"
        for _ in range(_REDIRECTS_MAX):
            try:
                response = self._http.get(page, headers=replica.headers)
            except httpx.HTTPError as error:
                status = told(error)
                break
            status = str(response.status_code)
            if response.status_code == 200:
                return dataclasses.replace(replica, metrics=str(page))
            there = page.join(response.headers.get("location", ""))
            if not response.is_redirect or (there.host, there.port) != (page.host, page.port):
                break
            page = there
        raise StackError(
            f"no metrics of {replica.name}: {text(str(page))} gave {status}",
            where=self._file.path,
            expected="a metrics page for each replica that is named",
            hint=f"{replica.name} asks for a key: api_key_env"
            if status in ("401", "403")
            else 'say where it is (metrics = "..."), or that it has none: metrics = "none"',
        )

    # ---- what it is

    def replicas(self) -> list[Replica]:
        """Those that its file names."""
        return self._replicas

    def entry(self) -> Entry:
        """The URL of its file."""
        assert self._file.external is not None
        return Entry(base_url=base(self._file.external.url), api_key_env=self._file.api_key_env)

    def addresses(self) -> dict[str, str]:
        """None: nothing is known of a name in front of it."""
        return {}

    def on_cores(self) -> dict[str, int]:
        """Who listens at its addresses of this machine: where others take the cores, it is they who are late."""
        for name, (host, port) in self._here.items():
            if (life := self._lives.get(name)) is None or not life.alive:
                pid = pid_listening(host, port)
                found = identify(pid) if pid is not None else None
                if found is not None:
                    self._lives[name] = found
        return {name: life.pid for name, life in self._lives.items() if life.alive}

    def control_urls(self) -> list[str]:
        """Nobody's: it is not we who keep it running."""
        return []

    # ---- what can be done to it

    def process(self, replica: str, part: Part = "server") -> Life | None:
        """Its life as its identity hook tells it now; None while that fails, and for a core, of which nothing is
        known."""
        if part != "server":
            return None
        token = self._identity(replica, fresh=True)
        return Life(token, partial(self._identity, replica, fresh=True)) if token else None

    def processes(self) -> list[dict[str, Any]]:
        """Each replica's life as its hook tells it, asked once a second at most."""
        views = []
        for replica in self._file.replica if "Signallable" not in self.lacks else []:
            token = self._identity(replica.name, fresh=False)
            life = Life(token, str).pid if token else None
            starts = max(1, len(self._starts.get(replica.name, [])))
            views.append({"name": replica.name, "role": replica.role, "pid": life, "starts": starts, "last_exit": ""})
        return views

    def signal(self, replica: str, number: int, part: Part = "server") -> None:
        """SIGKILL by its hook. Raises `StackError` for any other signal."""
        if number != signals.SIGKILL or part != "server":
            raise StackError(f"{replica} can be killed, and no more than that", where=self._file.path)
        self._run(replica, "kill")

    def restart(self, replica: str) -> None:
        """By its hook."""
        self._run(replica, "restart")

    def starts(self, replica: str) -> int:
        """Lives that were seen since the stack was looked at first."""
        self._identity(replica, fresh=True)
        return len(self._starts.get(replica, []))

    def _run(self, replica: str, hook: str) -> str:
        hooks = next(r.hooks for r in self._file.replica if r.name == replica)
        return run_hook(getattr(hooks, hook), what=f"{self._file.path}: {hook} of {replica!r}")

    def _identity(self, replica: str, *, fresh: bool) -> str:
        """Empty while the replica has none: between two lives a hook may well fail."""
        asked, token = self._identities.get(replica, (0.0, ""))
        if fresh or time.monotonic() - asked > _IDENTITY_EVERY_S:
            try:
                token = self._run(replica, "identity")
            except StackError:
                token = ""
            self._identities[replica] = time.monotonic(), token
            if token and token not in self._starts.setdefault(replica, []):
                self._starts[replica].append(token)
        return token

    def alerts_url(self) -> str:
        """As its file says."""
        return self._file.alerts


def _on_loopback(file: StackFile) -> dict[str, tuple[str, int]]:
    """Replicas, or the door where none is named, of this very machine: name -> host and port."""
    assert file.external is not None
    urls = {replica.name: replica.url for replica in file.replica} or {"service": file.external.url}
    found = {}
    for name, url in urls.items():
        host, port = split_host_port(_address(url))
        host = "127.0.0.1" if host == "localhost" else host
        if host.startswith("127.") or host == "::1":
            found[name] = host, port
    return found


def _lacks(file: StackFile) -> dict[str, str]:
    """Capabilities that this file does not give, and why."""
    where = Path(file.path).name or file.name
    lacks = {
        "Gpu": f"the engines of {where} are not known to compute on this machine",
    }
    if not _on_loopback(file):
        lacks["OnCores"] = f"the processes of {where} are not known to run on this machine"
    unable = [replica.name for replica in file.replica if not replica.hooks.complete]
    if unable or not file.replica:
        reason = f"{where}: no hooks kill, restart and identity for {', '.join(unable) or 'anything'}"
        lacks |= {"Signallable": reason, "Supervised": reason}
    if not file.replica:
        lacks["Scrapable"] = f"{where} names no [[replica]] whose metrics could be read"
    if not file.alerts:
        lacks["Alerting"] = f"{where} names no alert endpoint (alerts = ...)"
    return lacks


def _address(url: str) -> str:
    """``host:port`` of a URL."""
    parts = urlsplit(url)
    return join_host_port(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


KIND = StackKind(
    name="external",
    make=ExternalStack,
    check=check_external,
    reads=frozenset({"external", "replica"}),
    knows_its_promises=False,
    on_loopback=False,
)
