"""Stack files: one TOML file says what is drilled.

kind = "embedded"            # or "process", "docker": commands and containers, see servedrill.stacks.commands; "external": URLs
environment = "local"        # local, staging or production, which takes a blast_radius too

[embedded]
engines = 3
gateways = 2
control_port = 0             # 0: any free port

[embedded.settings]          # anything that servedrill.refstack.config.Stack has
drain_grace_s = 8.0

[proxy]                      # which hops have a fault proxy: servedrill.stacks.proxies
hops = ["gateways", "engines"]
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from servedrill.errors import UsageError
from servedrill.history.promises import Promises
from servedrill.stacks.commands import Command, ConfigFile, Container, Name, check_commands, expanded
from servedrill.stacks.hooks import Hooks
from servedrill.stacks.proxies import ExtraHop, ProxyTable
from servedrill.stacks.roles import ENGINE, GATEWAY, OTHER, Service


class Embedded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stack that comes with servedrill."""

    engines: int = 3
    gateways: int = 2
    control_port: int = 0
    alerts_port: int = 0
    dns_port: int = 0
    name_port: int = 0
    """The port of the DNS name; the same on every gateway's address."""
    settings: dict[str, Any] = {}

    def hop_groups(self) -> dict[str, list[str]]:
        """Group -> the hops in it that can have a proxy."""
        return {
            "gateways": [f"gateway-{number}" for number in range(self.gateways)],
            "engines": [f"engine-{number}" for number in range(self.engines)],
            "alerts": ["alerts"],
        }


class External(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stack that somebody else runs."""

    url: str
    """Where users come in, before ``/v1/...``."""


class ExternalReplica(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One engine or gateway of an external stack: what can be read of it, and what can be done to it."""

    name: str
    role: str
    url: str
    serves: list[Service] = []
    """What it does for an answer, where that is not what its role usually does."""
    metrics: str = ""
    """Its metrics page, where that is not ``url`` + /metrics; ``none`` where it has none."""
    listen: str = ""
    """``host:port`` where a fault proxy is to stand in front of it: whoever sends to it has been told to send there."""
    hooks: Hooks = Hooks()


class Weakness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stack does not do, and is known not to: shown with every verdict, instead of failing it."""

    checks: list[str]
    """Names of checkers whose claims it refutes, each with ``:window`` where it is about one window only."""
    because: str
    """A sentence for the report."""
    drills: list[str] = []
    """Names of drills; empty: all."""


class StackFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stack file, parsed."""

    kind: Literal["embedded", "process", "docker", "external"] = "embedded"
    name: str = "embedded"
    environment: Literal["local", "staging", "production"] = "local"
    blast_radius: str = ""
    """What a drill may cost users at worst, in a sentence; production has to state it."""
    owner: str = ""
    """Who answers for the stack: a team, a person. For incident files."""
    escalation: str = ""
    """Whom to turn to when the owner does not answer."""
    embedded: Embedded = Embedded()
    proxy: ProxyTable = ProxyTable()
    process: list[Command] = []
    container: list[Container] = []
    external: External | None = None
    replica: list[ExternalReplica] = []
    file: list[ConfigFile] = []
    """Written for commands and containers before they start."""
    nice: int = 0
    """Of processes together against the rest of the machine, 0 to 19; above 0 the load comes first on few cores."""
    dns: Name | None = None
    alerts: str = ""
    """Base URL of an endpoint that speaks Alertmanager's v2 API."""
    rollouts: str = ""
    """Base URL of an API that rolls candidates out, see `servedrill.stacks.rollouts`; empty: engines are started again with another {version}."""
    api_key_env: str | None = None
    promises: Promises | None = None
    weaknesses: list[Weakness] = []
    path: str = ""
    """Where it was read from; for messages."""

    def hop_groups(self) -> dict[str, list[str]]:
        """Group -> the hops in it that can have a proxy."""
        if self.kind == "embedded":
            return self.embedded.hop_groups()
        named: list[Command | ExternalReplica] = [*self.process, *self.container, *self.replica]
        roles = dict.fromkeys([GATEWAY, ENGINE, *(one.role for one in named if one.role != OTHER)])
        return {f"{role}s": [one.name for one in named if one.role == role] for role in roles}


def read_stack_file(path: Path | None) -> StackFile:
    """The file's content; the embedded stack with its defaults when there is none. Raises `UsageError`."""
    if path is None:
        return StackFile()
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"no stack file: {error.strerror}",
            where=str(path),
            expected="a TOML file",
            hint="leave --stack out for the embedded stack",
        ) from error
    try:
        file = msgspec.toml.decode(text, type=StackFile)
    except msgspec.DecodeError as error:
        raise UsageError(
            _explained(str(error)), where=str(path), expected="a stack file, see docs/stacks.md"
        ) from error
    for name, value, lowest, highest in (
        ("embedded.engines", file.embedded.engines, 1, 16),
        ("embedded.gateways", file.embedded.gateways, 1, 8),
        ("nice", file.nice, 0, 19),
        *(
            (f"embedded.{port}", getattr(file.embedded, port), 0, 65535)
            for port in ("control_port", "alerts_port", "dns_port", "name_port")
        ),
    ):
        if not lowest <= value <= highest:
            raise UsageError(f"{name} is {value}", where=str(path), expected=f"{lowest} to {highest}")
    if file.environment == "production" and not file.blast_radius:
        raise UsageError(
            "environment is production, and no blast_radius",
            where=str(path),
            expected='what a drill may cost users at worst, in a sentence: blast_radius = "..."',
        )
    if file.rollouts and file.kind not in ("process", "docker"):
        raise UsageError(
            "rollouts", where=str(path), expected='kind = "process" or "docker": others have nothing for it'
        )
    if file.nice and file.kind not in ("process", "docker"):
        raise UsageError("nice", where=str(path), expected='kind = "process" or "docker": others start no commands')
    if file.container and file.kind != "docker":
        raise UsageError("a container", where=str(path), expected='kind = "docker" for stacks of containers')
    if file.kind != "embedded" and file.promises is None:
        raise UsageError(
            "no [promises]", where=str(path), expected="at least the model that users ask for: [promises] model"
        )
    if file.kind in ("process", "docker"):
        file = msgspec.structs.replace(
            file,
            process=expanded(file.process, where=str(path)),
            container=expanded(file.container, where=str(path)),
        )
        check_commands([*file.process, *file.container], where=str(path))
        for extra in file.file:
            if Path(extra.path).is_absolute() or ".." in Path(extra.path).parts:
                raise UsageError(f"file {extra.path!r}", where=str(path), expected="a path below the drill's folder")
    if file.kind == "external":
        _check_external(file, where=str(path))
    file.proxy.check(file.hop_groups(), where=str(path), on_loopback=file.kind != "external")
    return msgspec.structs.replace(file, path=str(path))


def _check_external(file: StackFile, *, where: str) -> None:
    if file.external is None:
        raise UsageError("no [external]", where=where, expected='where users come in: [external] url = "http://..."')
    for name, url in (("external", file.external.url), *((f"replica {r.name!r}", r.url) for r in file.replica)):
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise UsageError(f"{name}: url is {url!r}", where=where, expected="http://host:port or https://host")
    names = [replica.name for replica in file.replica]
    for replica in file.replica:
        if names.count(replica.name) > 1:
            raise UsageError(f"replica {replica.name!r} twice", where=where, expected="a name of its own for each")
        if replica.listen and not re.fullmatch(r".+:\d{1,5}", replica.listen):
            raise UsageError(
                f"replica {replica.name!r}: listen is {replica.listen!r}", where=where, expected="host:port"
            )


def _explained(message: str) -> str:
    """msgspec's message, with the key that was probably meant."""
    match = re.search(r"unknown field `(\w+)`", message)
    if match is None:
        return message
    structs: tuple[type[msgspec.Struct], ...]
    structs = (
        StackFile,
        Embedded,
        External,
        ExternalReplica,
        Hooks,
        Command,
        Container,
        ConfigFile,
        Promises,
        Weakness,
        Name,
        ProxyTable,
        ExtraHop,
    )
    known = {name for struct in structs for name in struct.__struct_fields__}
    close = difflib.get_close_matches(match[1], sorted(known), n=1)
    return message + (f"; did you mean `{close[0]}`?" if close else "")
