"""A stack of commands: real engines behind real gateways, as a stack file names them, with a fault proxy at every hop.

    load -> [DNS name ->] proxy -> gateway -> proxy -> engine

Everything hangs below one supervisor (`servedrill.stacks.supervisor`), which is on record with the watchdog before it
is there.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from servedrill.control.bounded import client
from servedrill.control.secret import proof, run_secret
from servedrill.dialect.vllm import IS_SLEEPING, LOAD_ADAPTER
from servedrill.errors import StackError
from servedrill.files.logs import tail
from servedrill.files.whole import written_json
from servedrill.history.dialect import Spoken
from servedrill.history.promises import Promises
from servedrill.host.ports import free_ports
from servedrill.host.processes import ProcessId, family, identify
from servedrill.leases.keeper import UndoKeeper
from servedrill.stacks.command_rules import check_processes
from servedrill.stacks.commands import Command
from servedrill.stacks.file import StackFile
from servedrill.stacks.first_look import first_look
from servedrill.stacks.keeper import Keeper
from servedrill.stacks.kinds import StackKind
from servedrill.stacks.name import DNS, DnsName
from servedrill.stacks.on_machine import MemoryGroups, OnThisMachine
from servedrill.stacks.protocols import Entry, Part, Replica
from servedrill.stacks.proxied import ThroughProxies
from servedrill.stacks.proxies import Proxies
from servedrill.stacks.roles import ENGINE, OTHER, Service, grouped, served_by
from servedrill.stacks.rolling import Replaceable, RollingReplacement
from servedrill.stacks.rollouts import RolloutApi
from servedrill.stacks.startup import start_in_order
from servedrill.stacks.supervisor import Plan, Planned
from servedrill.stacks.wiring import Wiring


class ProcessStack(OnThisMachine, ThroughProxies):
    """One running stack of commands; `up` starts it, `down` ends it."""

    shared = False
    _wired: type[Wiring] = Wiring

    def __init__(
        self,
        file: StackFile,
        folder: Path,
        *,
        defects: list[str],
        seed: int,
        on_undo: UndoKeeper,
        limit_memory: bool,
    ) -> None:
        assert file.promises is not None
        self.name, self.environment = file.name, file.environment
        self.promises: Promises = file.promises
        self.spoken = Spoken()
        self.lacks = _lacks(file)
        self._file, self._folder = file, folder.absolute()
        self._commands: Sequence[Command] = [*file.process, *file.container]
        self._on_undo, self._limit_memory = on_undo, limit_memory
        self._logs = self._folder / "logs"
        self._keepers: dict[str, Keeper] = {}
        """Process -> who keeps it."""
        self._http = client(timeout_s=5)
        self._proxies = Proxies(file.proxy, logs=self._logs, seed=seed, on_undo=on_undo)
        self._covered = file.proxy.selected(grouped(self._commands), where=file.path)
        self._wiring = self._wired(file, self._folder, covered=self._covered)
        self._groups = MemoryGroups(on_undo)
        self._name: DnsName | None = None
        self._replicas: list[Replica] = []

    # ---- up and down

    def up(self) -> None:
        """Start everything in order and wait until it serves.

        Raises `StackError` with the tail of the log that says why.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        self._wiring.take()
        run_secret()  # in the environment of everything that is started from here
        if self._file.dns is not None:
            leads_to = self._wiring.name_port
            self._name = DnsName(
                self._file.dns, self._commands, port=self._wiring.port, leads_to=leads_to, folder=self._folder
            )
        if self._limit_memory and "MemoryLimited" not in self.lacks:
            self._make_groups()
        self._replicas = [
            Replica(
                name=c.name,
                role=c.role,
                serves=served_by(c.role, c.serves),
                url=f"http://127.0.0.1:{self._wiring.port(c.name)}",
                hop=c.name if c.name in self._covered else "",
                metrics=self._wiring.filled(c.metrics, c),
                health=c.health,
            )
            for c in self._commands
            if c.role != OTHER
        ]
        planned = [self._planned(command, self.promises.version) for command in self._commands]
        (self._folder / "stack.json").write_bytes(written_json(self._file))
        self._wiring.write_files(self._on_undo)
        if self._covered or self._file.proxy.hop:
            self._proxies.start(port=free_ports(1)[0])
            self._proxies.make(self._wiring.proxied_hops())
        own = [self._name.planned()] if self._name is not None else []
        self._begin_keepers([*own, *planned])
        start_in_order(
            self._commands,
            self._keepers,
            port=self._wiring.port,
            http=self._http,
            logs=self._logs,
            where=self._file.path,
        )
        if self._name is not None:
            self._keepers[DNS].start(DNS)
            self._name.wait(self._http)
        self.spoken = self._first_look()
        self._probe_powers()

    def down(self) -> None:
        """End every process and remove what was made; nothing to do a second time."""
        try:
            if isinstance(rollouts := vars(self).get("_rollouts"), RollingReplacement):
                rollouts.stop()
            for keeper in self._all_keepers():
                keeper.end()
            self._groups.remove()
        finally:
            self._wiring.hide_files()
            self._http.close()
            self._proxies.close()

    # ---- what it is made of

    def _make_groups(self) -> None:
        engines = [command.name for command in self._commands if command.role == ENGINE]
        self._groups.make(engines, run=secrets.token_hex(4))

    def _planned(self, command: Command, version: str) -> Planned:
        argv = [self._wiring.filled(part, command, version) for part in command.command]
        env = {key: self._wiring.filled(value, command, version) for key, value in command.env.items()}
        if shutil.which(argv[0], path=env.get("PATH")) is None:
            raise StackError(
                f"no program {argv[0]!r}",
                where=f"{self._file.path}: process {command.name!r}",
                expected="one on the PATH, or its full path",
                hint="the stack file says at its top how to install what it runs",
            )
        folder = self._wiring.filled(command.folder, command, version)
        if not Path(folder).is_dir():
            raise StackError(
                f"no folder {folder!r} to run in",
                where=f"{self._file.path}: process {command.name!r}",
                expected="one that is there before the stack starts",
                hint="without `folder` it is the drill's own",
            )
        return Planned(
            name=command.name,
            role=command.role,
            command=argv,
            env=env,
            folder=folder,
            log=str(self._logs / f"{command.name}.log"),
            restart=command.restart,
            memory_group=self._groups.paths().get(command.name, ""),
        )

    # ---- starting

    def _begin_keepers(self, planned: list[Planned]) -> None:
        keeper = self._keeper("servedrill.stacks.supervisor", log="supervisor")
        self._keepers = dict.fromkeys([one.name for one in planned], keeper)  # to be ended from now on
        keeper.plan(self._plan(planned, keeper.secret))

    def _plan(self, planned: list[Planned], secret: str) -> Plan:
        port = self._wiring.port("supervisor")
        return Plan(control_port=port, secret=secret, processes=planned, nice=self._file.nice)

    def _keeper(self, module: str, *, log: str, ends_within_s: float = 5.0) -> Keeper:
        """On record before it is there."""
        keeper = Keeper(
            module, control_port=self._wiring.port(log), log=self._logs / f"{log}.log", ends_within_s=ends_within_s
        )
        keeper.begin(self._on_undo)
        return keeper

    def _first_look(self) -> Spoken:
        return first_look(
            self._file, self._http, self._door(), hint=lambda: tail(self._logs / f"{self._front.name}.log")
        )

    def _probe_powers(self) -> None:
        engine = next(replica for replica in self._replicas if replica.role == ENGINE)
        for power, path in (("Sleepable", IS_SLEEPING), ("Adaptable", LOAD_ADAPTER)):
            call = self._http.get if power == "Sleepable" else partial(self._http.post, json={})
            status = call(f"{engine.url}{path}").status_code
            if status in (404, 405, 501):
                self.lacks[power] = f"{engine.name} has no {path} ({status})"

    # ---- what it is

    @property
    def _front(self) -> Replica:
        """Where users come in: the first that sends requests on, or the first that answers itself where none does."""
        services: tuple[Service, ...] = ("routing", "tokens")
        return next((r for service in services for r in self._replicas if service in r.serves), self._replicas[0])

    def _door(self) -> str:
        """Through its proxy, where it has one."""
        front, hops = self._front, self._wiring.hops
        return f"http://{hops[front.name]}" if front.name in hops else front.url

    def replicas(self) -> list[Replica]:
        """Commands with a role, in the order of the file."""
        return self._replicas

    def entry(self) -> Entry:
        """The DNS name where the file has one, else the first gateway, else the first engine."""
        key = self._file.api_key_env
        if self._name is None:
            return Entry(base_url=self._door(), api_key_env=key)
        return Entry(base_url=self._name.url, resolver=self._name.server, api_key_env=key)

    # ---- what can be done to it

    def process(self, replica: str, part: Part = "server") -> ProcessId | None:
        """As `Signallable.process`; a core is the first process below whose command line has its pattern."""
        pid = self._keeper_of(replica).view(replica)["pid"]
        if pid is None:
            return None
        if part == "server":
            return identify(pid)
        pattern = next(command.core for command in self._commands if command.name == replica)
        if not pattern:
            return None
        for below in family(pid)[1:]:
            try:
                line = Path(f"/proc/{below}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if re.search(pattern, line):
                return identify(below)
        return None

    def _keeper_of(self, name: str) -> Keeper:
        if name not in self._keepers:
            raise LookupError(f"no process {name!r}")
        return self._keepers[name]

    def _all_keepers(self) -> list[Keeper]:
        return list(dict.fromkeys(self._keepers.values()))

    def records_api(self) -> str:
        """As `Named.records_api`. Raises `LookupError` where the file has no [dns]."""
        if self._name is None:
            raise LookupError(f"stack {self.name!r} has no DNS name")
        return self._name.server

    def addresses(self) -> dict[str, str]:
        """Gateway -> the address that the name has for it; empty without a name."""
        return self._name.addresses if self._name is not None else {}

    def alerts_url(self) -> str:
        """As the file says, with ports filled in."""
        return self._wiring.url(self._file.alerts)

    def sleep_routes(self) -> bool:
        """Whether the first engine knows /is_sleeping."""
        return "Sleepable" not in self.lacks

    def adapter_routes(self) -> bool:
        """Whether the first engine knows /v1/load_lora_adapter."""
        return "Adaptable" not in self.lacks

    def start_rollout(self, candidate: str) -> int:
        """By the stack's own API; without one each engine in turn is ended gracefully and started with the
        candidate, all back when it does not come up."""
        return self._rollouts.start(candidate)

    def rollout(self, number: int) -> dict[str, Any]:
        """As `Swappable.rollout`."""
        return self._rollouts.view(number)

    @cached_property
    def _rollouts(self) -> RollingReplacement | RolloutApi:
        if self._file.rollouts:
            return RolloutApi(self._http, self._wiring.url(self._file.rollouts), headers=proof(run_secret()))
        engines = [command for command in self._commands if command.role == ENGINE]
        return RollingReplacement(
            self._keepers[engines[0].name], [self._replaceable(e) for e in engines], serves=self.promises.version
        )

    def _replaceable(self, engine: Command) -> Replaceable:
        assert engine.ready is not None
        return Replaceable(
            name=engine.name,
            planned=partial(self._planned, engine),
            ready_url=f"http://127.0.0.1:{self._wiring.port(engine.name)}{engine.ready.path}",
            within_s=engine.ready.within_s,
            min_ready_s=self.promises.detect_s,
        )


def _lacks(file: StackFile) -> dict[str, str]:
    """Capabilities that this file does not give, and why."""
    assert file.promises is not None
    lacks: dict[str, str] = {}
    where = Path(file.path).name or file.name
    if file.dns is None:
        lacks["Named"] = f"{where} has no [dns]: nothing leads users to another gateway"
    if not file.alerts:
        lacks["Alerting"] = f"{where} names no alert endpoint (alerts = ...)"
    if not file.promises.candidates:
        lacks["Swappable"] = f"{where} has no candidates to roll out (promises.candidates)"
    return lacks


KIND = StackKind(
    name="process",
    make=ProcessStack,
    check=check_processes,
    reads=frozenset({"process", "rollouts", "nice"}),
)
