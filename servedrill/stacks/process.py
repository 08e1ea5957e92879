"""A stack of commands: real engines behind real gateways, as a stack file names them, with a fault proxy at every hop.

    load -> [DNS name ->] proxy -> gateway -> proxy -> engine

Everything hangs below one supervisor (`servedrill.stacks.supervisor`), which is on record with the watchdog before it starts anything.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec

from servedrill.clock import wait_for
from servedrill.errors import NotInTime, StackError
from servedrill.proc import ProcessId, children, identify
from servedrill.stacks import commands, memory_group
from servedrill.stacks.commands import Command
from servedrill.stacks.embedded import OnUndo
from servedrill.stacks.file import StackFile
from servedrill.stacks.ports import free_ports, require_free
from servedrill.stacks.protocols import Entry, Part, Promises, Replica
from servedrill.stacks.proxies import Hop, Proxies
from servedrill.stacks.supervisor import Plan, Planned, Restart

_DNS = "dns"
_SERVES_WITHIN_S = 30.0
_ERROR = re.compile(r"error|exception|refused|denied|cannot|failed|not found|no such", re.IGNORECASE)
_NOISE = re.compile(r"See root cause above|Traceback \(most recent call last\)|^\s*\^*\s*$|^\s+(File|raise|return) ")


class ProcessStack:
    """One running stack of commands; `up` starts it, `down` ends it."""

    def __init__(
        self,
        file: StackFile,
        folder: Path,
        *,
        defects: list[str],
        seed: int,
        on_undo: OnUndo,
        limit_memory: bool,
    ) -> None:
        if defects:
            raise StackError(
                "defects are for the embedded stack only", where="--defect", expected="no --defect with this stack"
            )
        assert file.promises is not None
        self.name, self.environment = file.name, file.environment
        self.promises: Promises = file.promises
        self.lacks = _lacks(file)
        self._file, self._folder = file, folder.absolute()
        self._on_undo, self._limit_memory = on_undo, limit_memory
        self._logs = self._folder / "logs"
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(timeout=5, trust_env=False)
        self._proxies = Proxies(file.proxy, logs=self._logs, seed=seed, on_undo=on_undo)
        self._covered = file.proxy.selected(file.hop_groups(), where=file.path)
        self._ports: dict[str, int] = {}
        self._hops: dict[str, str] = {}
        self._groups: dict[str, Path] = {}
        self._replicas: list[Replica] = []
        self._rollouts: list[dict[str, Any]] = []
        self._rollout_threads: list[threading.Thread] = []
        self._over = threading.Event()

    # ---- up and down

    def up(self) -> None:
        """Start everything in order and wait until it serves. Raises `StackError` with the tail of the log that says why."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._take_ports()
        if self._limit_memory and "MemoryLimited" not in self.lacks:
            self._make_groups()
        self._replicas = [
            Replica(
                name=c.name,
                role="engine" if c.role == "engine" else "gateway",
                url=f"http://127.0.0.1:{self._port(c.name)}",
                hop=c.name if c.name in self._covered else "",
                metrics=self._filled(c.metrics, c),
            )
            for c in self._file.process
            if c.role != "other"
        ]
        planned = [self._planned(command, self.promises.version) for command in self._file.process]
        (self._folder / "stack.json").write_bytes(msgspec.json.format(msgspec.json.encode(self._file), indent=1))
        if self._covered or self._file.proxy.hop:
            self._proxies.start(port=free_ports(1)[0])
            self._proxies.make(self._proxied_hops())
        self._start_supervisor([*self._own(), *planned])
        self._start_in_order()
        if self._file.dns is not None:
            self._start(_DNS)
            self._wait_ours("the DNS name to have every gateway", _DNS, self._name_complete)
        self._serve_once()
        self._probe_powers()

    def down(self) -> None:
        """End every process and remove what was made; nothing to do a second time."""
        try:
            self._end_processes()
        finally:
            self._http.close()
            self._proxies.close()

    def _end_processes(self) -> None:
        self._over.set()
        for thread in self._rollout_threads:
            thread.join(timeout=10)
        if self._supervisor is not None:
            identities = [one for pid in _family(self._supervisor.pid) if (one := identify(pid)) is not None]
            assert self._supervisor.stdin is not None
            self._supervisor.stdin.close()
            try:
                self._supervisor.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._supervisor.kill()
                self._supervisor.wait()
            for one in identities:
                if one.alive:
                    os.kill(one.pid, signal.SIGKILL)
            wait_for(
                lambda: not any(one.alive for one in identities),
                what=f"the processes of {self.name} to end",
                within_s=15,
            )
            self._supervisor = None
        for group in self._groups.values():
            wait_for(partial(memory_group.is_empty, group), what=f"{group} to be empty", within_s=10)
            group.rmdir()
        self._groups.clear()

    # ---- what it is made of

    def _take_ports(self) -> None:
        """A port for every process and every name that a command mentions."""
        for command in self._file.process:
            if command.port:
                self._ports[command.name] = require_free(
                    command.port, where=f"{self._file.path}: process {command.name!r}"
                )
        self._control, self._name_port = free_ports(2)
        for command in self._file.process:
            if command.name in self._covered:
                host = command.published or "127.0.0.1"
                shared = command.published and self._file.dns is not None
                self._hops[command.name] = f"{host}:{self._name_port if shared else free_ports(1)[0]}"

    def _port(self, name: str) -> int:
        if name not in self._ports:
            self._ports[name] = next(port for port in free_ports(8) if port not in self._ports.values())
        return self._ports[name]

    def _make_groups(self) -> None:
        run = secrets.token_hex(4)
        for command in self._file.process:
            if command.role == "engine":
                group = memory_group.make(f"servedrill-{run}-{command.name}")
                self._groups[command.name] = group
                self._on_undo.memory_group(group)

    def _filled(self, text: str, command: Command, version: str = "") -> str:
        where = f"{self._file.path}: process {command.name!r}"

        def hop(name: str) -> str:
            known = [c.name for c in self._file.process if c.role != "other"]
            if name not in known:
                raise StackError(f"no engine or gateway {name!r}", where=where, expected=", ".join(known))
            return self._hops.get(name, f"127.0.0.1:{self._port(name)}")

        values: dict[str, str | Callable[[str], str]] = {
            "port": lambda name: str(self._port(name or command.name)),
            "hop": hop,
            "version": version or self.promises.version,
            "name": command.name,
            "folder": str(self._folder),
            "cache": str(commands.cache_folder()),
            "here": str(Path(self._file.path).resolve().parent),
            "python": sys.executable,
            "env": lambda name: commands.environment_variable(name, where=where),
        }
        return commands.fill(text, values, where=where)

    def _planned(self, command: Command, version: str) -> Planned:
        argv = [self._filled(part, command, version) for part in command.command]
        env = {key: self._filled(value, command, version) for key, value in command.env.items()}
        if shutil.which(argv[0], path=env.get("PATH")) is None:
            raise StackError(
                f"no program {argv[0]!r}",
                where=f"{self._file.path}: process {command.name!r}",
                expected="one on the PATH, or its full path",
                hint="the stack file says at its top how to install what it runs",
            )
        return Planned(
            name=command.name,
            role=command.role,
            command=argv,
            env=env,
            folder=self._filled(command.folder, command, version),
            log=str(self._logs / f"{command.name}.log"),
            restart=command.restart,
            memory_group=str(self._groups.get(command.name, "")),
        )

    def _own(self) -> list[Planned]:
        """The DNS server for a name."""
        if self._file.dns is None:
            return []
        config = self._folder / "dns.json"
        config.write_text(json.dumps(self._dns_config()))
        return [
            Planned(
                name=_DNS,
                role="other",
                command=[sys.executable, "-m", "servedrill.refstack", "--config", str(config), "dns"],
                env={"PYTHONPATH": _package_path()},
                folder=str(self._folder),
                log=str(self._logs / f"{_DNS}.log"),
                restart=Restart(policy="never"),
            )
        ]

    def _dns_config(self) -> dict[str, Any]:
        assert self._file.dns is not None
        given = self._file.dns
        return {
            "engines": [],
            "gateways": [
                {"name": c.name, "host": "127.0.0.1", "port": self._port(c.name), "published_at": c.published}
                for c in self._file.process
                if c.role == "gateway"
            ],
            "models": [{"version": "v1"}],  # the server of names asks for one, and does nothing with it
            "control_port": self._control,
            "alerts_port": 0,
            "dns_port": self._port(_DNS),
            "name": given.name,
            "name_port": self._name_port,
            "dns_ttl_s": given.ttl_s,
            "dns_check_interval_s": given.check_interval_s,
            "dns_check_timeout_s": given.check_timeout_s,
            "dns_check_failures": given.check_failures,
            "log_dir": str(self._logs),
        }

    def _proxied_hops(self) -> list[Hop]:
        """Taps at some engines would make tries look fewer than they were, so all have one or none."""
        engines = {command.name for command in self._file.process if command.role == "engine"}
        tapped = engines if engines <= self._covered else set()
        return [
            Hop(name=name, listen=listen, upstream=f"127.0.0.1:{self._port(name)}", tap=name in tapped)
            for name, listen in self._hops.items()
        ]

    # ---- starting

    def _start_supervisor(self, planned: list[Planned]) -> None:
        with (self._logs / "supervisor.log").open("ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "servedrill.stacks.supervisor"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": _package_path()},
            )
        self._on_undo.process(self._supervisor.pid)
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.write(msgspec.json.encode(Plan(control_port=self._control, processes=planned)) + b"\n")
        self._supervisor.stdin.flush()
        self._wait_ours("the supervisor", "supervisor", lambda: self._answers(self.processes_url()))

    def _start(self, name: str) -> None:
        self._http.post(f"{self._api()}/processes/{name}/start").raise_for_status()

    def _start_in_order(self) -> None:
        """Start each as soon as those before it are ready, and wait for all of them."""
        waiting = {command.name: command for command in self._file.process}
        started: dict[str, float] = {}
        ready: set[str] = set()
        answers: dict[str, str] = {}
        while waiting:
            for name, command in list(waiting.items()):
                if name not in started:
                    if ready.issuperset(command.after):
                        self._start(name)
                        started[name] = time.monotonic()
                    continue
                view = self._view(name)
                if view["last_exit"] and command.role != "other":
                    raise StackError(
                        f"{name} ended before it was ready: {view['last_exit']}",
                        where=self._file.path,
                        hint=self._tail(name),
                    )
                if self._is_ready(command, answers):
                    ready.add(name)
                    del waiting[name]
                elif command.ready and time.monotonic() - started[name] > command.ready.within_s:
                    raise StackError(
                        f"{name} not ready after {command.ready.within_s:g} s: {answers.get(name, 'no answer')}",
                        where=self._file.path,
                        expected=f"200 from {command.ready.path or 'its log'}",
                        hint=self._tail(name),
                    )
            time.sleep(0.05)

    def _is_ready(self, command: Command, answers: dict[str, str]) -> bool:
        ready = command.ready
        if ready is None:
            return True
        if ready.log and not re.search(ready.log, self._log(command.name)):
            answers[command.name] = f"its log has not shown {ready.log!r}"
            return False
        if not ready.path:
            return True
        try:
            status = self._http.get(f"http://127.0.0.1:{self._port(command.name)}{ready.path}", timeout=2).status_code
        except httpx.HTTPError as error:
            answers[command.name] = f"{ready.path} {type(error).__name__}"
            return False
        answers[command.name] = f"{ready.path} answered {status}"
        return status == 200

    def _serve_once(self) -> None:
        """One token through the front door: what is wrong with the model's name or the key is said now and not by every request of a drill."""
        door, key = self._door(), self._file.api_key_env
        headers = {}
        if key:
            headers["authorization"] = f"Bearer {commands.environment_variable(key, where=self._file.path)}"
        body = {"model": self.promises.model, "prompt": "hello", "max_tokens": 1, "temperature": 0}
        seen = "no answer"

        def served() -> bool:
            nonlocal seen
            try:
                response = self._http.post(f"{door}/v1/completions", json=body, headers=headers, timeout=20)
            except httpx.HTTPError as error:
                seen = type(error).__name__
                return False
            seen = f"{response.status_code} {response.text[:300]}"
            if response.status_code in (401, 403):
                raise StackError(
                    f"the key was refused: {seen}",
                    where=self._file.path,
                    expected="a key that the stack takes",
                    hint=f"it comes from {key}" if key else 'name its environment variable: api_key_env = "..."',
                )
            if response.status_code == 404:
                raise StackError(
                    f"no model {self.promises.model!r}: {seen}",
                    where=f"{self._file.path}: promises.model",
                    expected=f"one of {self._models(door, headers)}",
                )
            return response.status_code == 200

        try:
            wait_for(served, what="a first answer", within_s=_SERVES_WITHIN_S, every_s=0.2)
        except NotInTime as error:
            names = [c.name for c in self._file.process if c.role == "gateway"] or [self._replicas[0].name]
            raise StackError(
                f"no answer through {door} within {error.waited_s:.0f} s: {seen}",
                where=self._file.path,
                hint=self._tail(names[0]),
            ) from error

    def _models(self, door: str, headers: dict[str, str]) -> str:
        try:
            models = self._http.get(f"{door}/v1/models", headers=headers).json()["data"]
            return ", ".join(str(model["id"]) for model in models)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return "those that /v1/models lists"

    def _probe_powers(self) -> None:
        engine = next(replica for replica in self._replicas if replica.role == "engine")
        for power, path in (("Sleepable", "/is_sleeping"), ("Adaptable", "/v1/load_lora_adapter")):
            call = self._http.get if power == "Sleepable" else partial(self._http.post, json={})
            status = call(f"{engine.url}{path}").status_code
            if status in (404, 405, 501):
                self.lacks[power] = f"{engine.name} has no {path} ({status})"

    def _wait_ours(self, what: str, log: str, condition: Callable[[], bool]) -> None:
        try:
            wait_for(condition, what=what, within_s=15)
        except NotInTime as error:
            raise StackError(f"{what} did not get ready within {error.waited_s:.0f} s", hint=self._tail(log)) from error

    def _name_complete(self) -> bool:
        try:
            answers = self._http.get(f"http://{self.records_api()}/records", timeout=1).json()["answers"]
        except (httpx.HTTPError, ValueError):
            return False
        return set(answers) == set(self.addresses().values())

    def _answers(self, url: str) -> bool:
        try:
            return self._http.get(url, timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    def _log(self, name: str) -> str:
        path = self._logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _tail(self, name: str) -> str:
        """The last lines of a log that look like a reason, else its last one."""
        lines = [line.strip() for line in self._log(name).splitlines() if line.strip() and not _NOISE.search(line)]
        telling = [line for line in lines if _ERROR.search(line)][-2:] or lines[-1:]
        told = " | ".join(line[-300:] for line in dict.fromkeys(telling)) or "(empty)"
        return f"the end of {self._logs / f'{name}.log'}: {told}"

    # ---- what it is

    def _door(self) -> str:
        """The first gateway through its proxy, or the first engine where there is none."""
        first = next((r for r in self._replicas if r.role == "gateway"), self._replicas[0])
        return f"http://{self._hops[first.name]}" if first.name in self._hops else first.url

    def replicas(self) -> list[Replica]:
        return self._replicas

    def entry(self) -> Entry:
        key = self._file.api_key_env
        if self._file.dns is None:
            return Entry(base_url=self._door(), api_key_env=key)
        url = f"http://{self._file.dns.name}:{self._name_port}"
        return Entry(base_url=url, resolver=f"127.0.0.1:{self._port(_DNS)}", api_key_env=key)

    # ---- what can be done to it

    def process(self, replica: str, part: Part = "server") -> ProcessId | None:
        pid = self._view(replica)["pid"]
        if pid is None:
            return None
        if part == "server":
            return identify(pid)
        pattern = next(command.core for command in self._file.process if command.name == replica)
        if not pattern:
            return None
        for below in _family(pid)[1:]:
            try:
                line = Path(f"/proc/{below}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if re.search(pattern, line):
                return identify(below)
        return None

    def signal(self, replica: str, number: int, part: Part = "server") -> None:
        identity = self.process(replica, part)
        if identity is None:
            raise LookupError(f"{replica} has no running {part}")
        os.kill(identity.pid, number)

    def restart(self, replica: str) -> None:
        self._http.post(f"{self._api()}/processes/{replica}/restart").raise_for_status()

    def starts(self, replica: str) -> int:
        return int(self._view(replica)["starts"])

    def _api(self) -> str:
        return f"http://127.0.0.1:{self._control}"

    def processes_url(self) -> str:
        """Where the supervisor lists its processes."""
        return f"{self._api()}/processes"

    def _view(self, name: str) -> dict[str, Any]:
        for view in self._http.get(self.processes_url()).json():
            if view["name"] == name:
                return dict(view)
        raise LookupError(f"no process {name!r}")

    def proxy_api(self) -> str:
        return self._proxies.address

    def hops(self) -> list[str]:
        return self._proxies.names

    def hop_address(self, hop: str) -> str:
        """``host:port`` where a hop is entered."""
        return self._proxies.listen_of(hop)

    def memory_group(self, replica: str) -> str:
        if replica not in self._groups:
            raise StackError(f"{replica} has no memory group", where=self.name)
        return str(self._groups[replica])

    def records_api(self) -> str:
        return f"127.0.0.1:{self._port(_DNS)}"

    def addresses(self) -> dict[str, str]:
        return {c.name: c.published for c in self._file.process if c.role == "gateway" and c.published}

    def alerts_url(self) -> str:
        return commands.fill(self._file.alerts, {"port": lambda name: str(self._port(name))}, where=self._file.path)

    def sleep_routes(self) -> bool:
        return "Sleepable" not in self.lacks

    def adapter_routes(self) -> bool:
        return "Adaptable" not in self.lacks

    # ---- rolling replacement

    def start_rollout(self, candidate: str) -> int:
        """One engine after the other is ended gracefully and started with the candidate, on to the next when it is ready, all back when it is not."""
        self._rollouts.append({"candidate": candidate, "state": "running", "reason": "", "steps": []})
        thread = threading.Thread(
            target=self._roll, args=(self._rollouts[-1], candidate), name=f"rollout-{candidate}", daemon=True
        )
        self._rollout_threads.append(thread)
        thread.start()
        return len(self._rollouts) - 1

    def rollout(self, number: int) -> dict[str, Any]:
        return dict(self._rollouts[number])

    def _roll(self, rollout: dict[str, Any], candidate: str) -> None:
        http = httpx.Client(timeout=5, trust_env=False)
        before = self._rollouts[-2]["serves"] if len(self._rollouts) > 1 else self.promises.version
        rollout["serves"] = before
        done: list[Command] = []
        try:
            for engine in (command for command in self._file.process if command.role == "engine"):
                done.append(engine)
                problem = self._replace(http, engine, candidate)
                rollout["steps"].append(f"{engine.name}: {problem or f'serves {candidate}'}")
                if problem:
                    for changed in reversed(done):
                        trouble = self._replace(http, changed, before)
                        rollout["steps"].append(f"{changed.name}: {trouble or f'serves {before} again'}")
                        if trouble:
                            rollout.update(state="broken", reason=trouble)
                            return
                    rollout.update(state="rolled_back", reason=f"load: {problem}")
                    return
            rollout.update(state="promoted", serves=candidate)
        except (httpx.HTTPError, StackError, OSError) as error:
            rollout.update(state="broken", reason=f"{type(error).__name__}: {error}")
        finally:
            http.close()

    def _replace(self, http: httpx.Client, engine: Command, version: str) -> str:
        """Start the engine again with another version; what went wrong, empty when it is ready."""
        api = f"{self._api()}/processes/{engine.name}"
        view = http.put(api, content=msgspec.json.encode(self._planned(engine, version))).json()
        starts = view["starts"] + 1
        http.post(f"{api}/restart").raise_for_status()
        assert engine.ready is not None
        until = time.monotonic() + engine.ready.within_s
        while not self._over.wait(0.1):
            view = next(v for v in http.get(self.processes_url()).json() if v["name"] == engine.name)
            if view["starts"] > starts or (view["starts"] == starts and view["pid"] is None):
                return f"it ended ({view['last_exit']})"
            if view["starts"] == starts:
                try:
                    if http.get(f"http://127.0.0.1:{self._port(engine.name)}{engine.ready.path}").status_code == 200:
                        return ""
                except httpx.HTTPError:
                    pass
            if time.monotonic() > until:
                return f"not ready after {engine.ready.within_s:g} s"
        return "the stack was ended"


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


def _package_path() -> str:
    """This very package first on the path, whatever folder a process runs in."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    family, at = [pid], 0
    while at < len(family):
        family += children(family[at])
        at += 1
    return family
