"""The embedded stack: the processes of `servedrill.refstack`, with a fault proxy at the hops that its file names, all
by default.

    load -> DNS name -> proxy -> gateway -> proxy -> engine

Reached over HTTP, signals and files alone.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from servedrill.control.bounded import client, read
from servedrill.control.secret import proof, run_secret
from servedrill.dialect.openai import HEALTH
from servedrill.errors import NotInTime, StackError
from servedrill.files.logs import tail
from servedrill.history.dialect import Spoken
from servedrill.history.promises import Promises
from servedrill.host.clock import wait_for
from servedrill.host.ports import free_ports, require_free
from servedrill.host.processes import ProcessId, children, identify
from servedrill.leases.keeper import UndoKeeper
from servedrill.leases.marked import Marked
from servedrill.stacks.embedded_rules import check_embedded
from servedrill.stacks.embedded_settings import MODELS
from servedrill.stacks.file import StackFile
from servedrill.stacks.keeper import SupervisorApi
from servedrill.stacks.kinds import StackKind
from servedrill.stacks.on_machine import MemoryGroups, OnThisMachine
from servedrill.stacks.protocols import Entry, Part, Replica
from servedrill.stacks.proxied import ThroughProxies
from servedrill.stacks.proxies import Hop, Proxies
from servedrill.stacks.roles import ENGINE, GATEWAY
from servedrill.stacks.rollouts import RolloutApi

NAME = "gateway.stack.test"
_UP_WITHIN_S = 20.0


class EmbeddedStack(OnThisMachine, ThroughProxies):
    """One running embedded stack; `up` starts it, `down` ends it."""

    shared = False

    def __init__(
        self, file: StackFile, folder: Path, *, defects: list[str], seed: int, on_undo: UndoKeeper, limit_memory: bool
    ) -> None:
        self.name, self.environment = file.name, file.environment
        self.promises: Promises
        self.spoken = Spoken()
        self._file, self._folder, self._defects, self._seed = file.embedded, folder, defects, seed
        self._on_undo, self._limit_memory = on_undo, limit_memory
        self._logs = folder / "logs"
        self._children: dict[str, Marked] = {}
        self._groups = MemoryGroups(on_undo)
        self._http = client(timeout_s=5)
        self._replicas: list[Replica] = []
        self._addresses: dict[str, str] = {}
        self._proxies = Proxies(file.proxy, logs=self._logs, seed=seed, on_undo=on_undo)
        self._covered = file.proxy.selected(file.embedded.hop_groups(), where=file.name)
        self._has_proxies = bool(self._covered or file.proxy.hop)
        self._supervisor: SupervisorApi

    # ---- up and down

    def up(self) -> None:
        """Start everything and wait until it serves. Raises `StackError` with the tail of the log that says why."""
        file = self._file
        ports = iter(free_ports(2 * file.engines + file.gateways + 6))
        asked = {
            key: require_free(getattr(file, key), where=f"embedded.{key}") if getattr(file, key) else next(ports)
            for key in ("control_port", "alerts_port", "dns_port", "name_port")
        }
        self._control, self._alerts, self._dns, self._name_port = asked.values()
        self._supervisor = SupervisorApi(self._http, control_port=self._control, secret=run_secret())
        self._logs.mkdir(parents=True, exist_ok=True)
        if self._has_proxies:
            self._proxies.start(port=next(ports))
        engines = [self._engine(f"engine-{i}", next(ports), next(ports)) for i in range(file.engines)]
        gateways = [self._gateway(f"gateway-{i}", next(ports), f"127.0.0.{10 + i}") for i in range(file.gateways)]
        if self._limit_memory:
            run = secrets.token_hex(4)
            self._groups.make([str(engine["name"]) for engine in engines], run=run)
        config = self._folder / "stack.json"
        config.write_text(json.dumps(self._config(engines, gateways), indent=1))
        self._replicas = [
            *(self._replica(engine, ENGINE) for engine in engines),
            *(self._replica(gateway, GATEWAY) for gateway in gateways),
        ]
        self._addresses = {g["name"]: g["published_at"] for g in gateways}
        self._start("supervisor", "-m", "servedrill.refstack", "--config", str(config))
        if self._has_proxies:
            self._proxies.make(self._hops(engines, gateways, alerts_listen=f"127.0.0.1:{next(ports)}"))
        self._wait("the supervisor", lambda: self._answers(f"http://127.0.0.1:{self._control}/stack"), log="supervisor")
        self.promises = promised_by(read(self._http.get(f"http://127.0.0.1:{self._control}/stack"), dict[str, Any]))
        for replica in self._replicas:
            self._wait(f"{replica.name}", partial(self._answers, f"{replica.url}{HEALTH}"), log=replica.name)
        self._wait("gateways to see every engine", self._all_seen, log="gateway-0")

    def down(self) -> None:
        """End every process and remove what was made; nothing to do a second time."""
        try:
            self._end_processes()
        finally:
            self._http.close()
            self._proxies.close()

    def _end_processes(self) -> None:
        for child in reversed(self._children.values()):
            child.end()
        self._children.clear()
        self._groups.remove()

    def _config(self, engines: list[dict[str, Any]], gateways: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "models": MODELS,
            **self._file.settings,
            "engines": engines,
            "gateways": gateways,
            "control_port": self._control,
            "alerts_port": self._alerts,
            "dns_port": self._dns,
            "name": NAME,
            "name_port": self._name_port,
            "defects": self._defects,
            "memory_groups": self._groups.paths(),
            "log_dir": str(self._logs.resolve()),
        }

    def _start(self, name: str, *arguments: str) -> None:
        self._children[name] = child = Marked()
        self._on_undo.keep("process", child.undo())
        with (self._logs / f"{name}.log").open("ab") as log:
            child.start(
                [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _engine(self, name: str, port: int, proxy_port: int) -> dict[str, Any]:
        covered = name in self._covered
        reached_at = f"127.0.0.1:{proxy_port if covered else port}"
        return {"name": name, "host": "127.0.0.1", "port": port, "reached_at": reached_at}

    def _gateway(self, name: str, port: int, published_at: str) -> dict[str, Any]:
        """Without a proxy it listens itself where the name leads to."""
        at = ("127.0.0.1", port) if name in self._covered else (published_at, self._name_port)
        return {"name": name, "host": at[0], "port": at[1], "published_at": published_at}

    def _replica(self, made: dict[str, Any], role: str) -> Replica:
        name = str(made["name"])
        url = f"http://{made['host']}:{made['port']}"
        return Replica(name=name, role=role, url=url, hop=name if name in self._covered else "")

    def _hops(self, engines: list[dict[str, Any]], gateways: list[dict[str, Any]], *, alerts_listen: str) -> list[Hop]:
        every = all(
            e["name"] in self._covered for e in engines
        )  # taps at some would make tries look fewer than they were
        hops = [
            Hop(name=e["name"], listen=e["reached_at"], upstream=f"{e['host']}:{e['port']}", tap=every) for e in engines
        ]
        hops += [
            Hop(name=g["name"], listen=f"{g['published_at']}:{self._name_port}", upstream=f"{g['host']}:{g['port']}")
            for g in gateways
        ]
        hops.append(Hop(name="alerts", listen=alerts_listen, upstream=f"127.0.0.1:{self._alerts}"))
        return [hop for hop in hops if hop.name in self._covered]

    def _wait(self, what: str, condition: Any, *, log: str) -> None:
        dead: list[str] = []

        def ready_or_dead() -> bool:
            dead[:] = [name for name, child in self._children.items() if child.status is not None]
            return bool(dead) or bool(condition())

        try:
            wait_for(ready_or_dead, what=what, within_s=_UP_WITHIN_S)
        except NotInTime as error:
            raise StackError(
                f"{what} did not get ready within {error.waited_s:.0f} s", hint=tail(self._logs / f"{log}.log")
            ) from error
        if dead:
            status = self._children[dead[0]].status
            raise StackError(
                f"the {dead[0]} did not start: exit status {status}", hint=tail(self._logs / f"{dead[0]}.log")
            )

    def _answers(self, url: str) -> bool:
        try:
            return self._http.get(url, timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    def _all_seen(self) -> bool:
        for gateway in (replica for replica in self._replicas if "routing" in replica.serves):
            try:
                upstreams = read(self._http.get(f"{gateway.url}/admin/upstreams"), dict[str, dict[str, Any]])
                if not all(view["healthy"] for view in upstreams.values()):
                    return False
            except httpx.HTTPError:
                return False
        return True

    # ---- what it is

    def replicas(self) -> list[Replica]:
        """Engines, then gateways."""
        return self._replicas

    def entry(self) -> Entry:
        """The DNS name in front of the gateways."""
        return Entry(base_url=f"http://{NAME}:{self._name_port}", resolver=f"127.0.0.1:{self._dns}")

    # ---- what can be done to it

    def process(self, replica: str, part: Part = "server") -> ProcessId | None:
        """As `Signallable.process`; an engine's core is the child of its server."""
        view = self._supervisor.view(replica)
        if view["pid"] is None:
            return None
        if part == "server":
            return identify(view["pid"])
        below = children(view["pid"])
        return identify(below[0]) if below else None

    def _keeper_of(self, replica: str) -> SupervisorApi:
        return self._supervisor

    def _all_keepers(self) -> list[SupervisorApi]:
        return [self._supervisor]

    def records_api(self) -> str:
        """As `Named.records_api`."""
        return f"127.0.0.1:{self._dns}"

    def addresses(self) -> dict[str, str]:
        """As `Named.addresses`."""
        return self._addresses

    def alerts_url(self) -> str:
        """As `Alerting.alerts_url`."""
        return f"http://127.0.0.1:{self._alerts}"

    def sleep_routes(self) -> bool:
        """Its engines have them."""
        return True

    def adapter_routes(self) -> bool:
        """Its engines have them."""
        return True

    def tenants(self) -> tuple[str, str]:
        """Any key is a tenant of its own."""
        return "key-of-a-steady-tenant", "key-of-a-greedy-tenant"

    def metered(self) -> tuple[str, int]:
        """The first key that its gateways meter; each of them on its own."""
        limits = read(self._http.get(f"http://127.0.0.1:{self._control}/stack"), dict[str, Any])["gateway_limits"]
        key, tokens = next(iter(limits["metered_keys"].items()))
        return key, tokens * self._file.gateways

    def start_rollout(self, candidate: str) -> int:
        """By its control plane, which checks the candidate."""
        return self._rollouts().start(candidate)

    def rollout(self, number: int) -> dict[str, Any]:
        """As `Swappable.rollout`."""
        return self._rollouts().view(number)

    def _rollouts(self) -> RolloutApi:
        return RolloutApi(self._http, f"http://127.0.0.1:{self._control}", headers=proof(run_secret()))


def promised_by(stack: dict[str, Any]) -> Promises:
    """What a stack of `servedrill.refstack` promises by its configuration, as its control API gives it."""
    gateway, engine, engines = stack["gateway_limits"], stack["engine_limits"], len(stack["engines"])
    health_s = gateway["health_failures"] * (gateway["health_interval_s"] + gateway["health_timeout_s"])
    return Promises(
        model=stack["alias"],
        version=stack["serves"],
        tries_max=gateway["max_tries"],
        retry_budget_ratio=gateway["retry_budget_ratio"],
        retry_budget_min_per_s=gateway["retry_budget_min_per_s"],
        first_token_timeout_s=gateway["first_token_timeout_s"],
        idle_timeout_s=gateway["idle_timeout_s"],
        detect_s=health_s,
        ends_within_s=max(stack["drain_grace_s"], gateway["drain_grace_s"]) + 1.0,
        gateway_grace_s=gateway["drain_grace_s"],
        engine_keep_alive_s=stack["engine_keep_alive_s"],
        dns_ttl_s=stack["dns_ttl_s"],
        overload_ttft_s=gateway["queue_timeout_s"] + gateway["max_tries"] * gateway["first_token_timeout_s"],
        dns_detect_s=stack["dns_check_failures"] * (stack["dns_check_interval_s"] + stack["dns_check_timeout_s"]),
        frozen_within_s=stack["health_stall_s"] + 0.7,
        slots=engine["max_num_seqs"] * engines,
        engine_admits=engine["max_num_seqs"] + engine["max_num_queued_reqs"],
        gateway_admits=gateway["max_in_flight"] + gateway["max_queue"],
        max_model_len=next(m["max_model_len"] for m in stack["models"] if m["version"] == stack["serves"]),
        max_tokens_cap=engine["max_tokens_cap"],
        max_n=engine["max_n"],
        default_max_tokens=engine["default_max_tokens"],
        default_temperature=next(m["temperature"] for m in stack["models"] if m["version"] == stack["serves"]),
        candidates=[m["version"] for m in stack["models"] if m["version"] != stack["serves"]],
    )


KIND = StackKind(
    name="embedded",
    make=EmbeddedStack,
    check=check_embedded,
    needs_promises=False,  # they follow from its configuration
    takes_defects=True,
)
