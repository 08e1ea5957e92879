"""Stack files: one TOML file says what is drilled.

kind = "embedded"            # or "process": commands, see servedrill.stacks.commands
environment = "local"        # local, staging or production

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

import msgspec

from servedrill.errors import UsageError
from servedrill.stacks.commands import Command, Name, check_commands, expanded
from servedrill.stacks.protocols import Promises
from servedrill.stacks.proxies import ExtraHop, ProxyTable


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

    kind: Literal["embedded", "process"] = "embedded"
    name: str = "embedded"
    environment: Literal["local", "staging", "production"] = "local"
    owner: str = ""
    """Who answers for the stack: a team, a person. For incident files."""
    escalation: str = ""
    """Whom to turn to when the owner does not answer."""
    embedded: Embedded = Embedded()
    proxy: ProxyTable = ProxyTable()
    process: list[Command] = []
    dns: Name | None = None
    alerts: str = ""
    """Base URL of an endpoint that speaks Alertmanager's v2 API."""
    api_key_env: str | None = None
    promises: Promises | None = None
    weaknesses: list[Weakness] = []
    path: str = ""
    """Where it was read from; for messages."""

    def hop_groups(self) -> dict[str, list[str]]:
        """Group -> the hops in it that can have a proxy."""
        if self.kind == "embedded":
            return self.embedded.hop_groups()
        return {f"{role}s": [c.name for c in self.process if c.role == role] for role in ("gateway", "engine")}


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
        *(
            (f"embedded.{port}", getattr(file.embedded, port), 0, 65535)
            for port in ("control_port", "alerts_port", "dns_port", "name_port")
        ),
    ):
        if not lowest <= value <= highest:
            raise UsageError(f"{name} is {value}", where=str(path), expected=f"{lowest} to {highest}")
    if file.kind == "process":
        file = msgspec.structs.replace(file, process=expanded(file.process, where=str(path)))
        check_commands(file.process, where=str(path))
        if file.promises is None:
            raise UsageError(
                "no [promises]", where=str(path), expected="at least the model that users ask for: [promises] model"
            )
    file.proxy.check(file.hop_groups(), where=str(path), on_loopback=True)
    return msgspec.structs.replace(file, path=str(path))


def _explained(message: str) -> str:
    """msgspec's message, with the key that was probably meant."""
    match = re.search(r"unknown field `(\w+)`", message)
    if match is None:
        return message
    structs: tuple[type[msgspec.Struct], ...]
    structs = (StackFile, Embedded, Command, Promises, Weakness, Name, ProxyTable, ExtraHop)
    known = {name for struct in structs for name in struct.__struct_fields__}
    close = difflib.get_close_matches(match[1], sorted(known), n=1)
    return message + (f"; did you mean `{close[0]}`?" if close else "")
