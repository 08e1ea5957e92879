"""Stack files: one TOML file says what is drilled.

kind = "embedded"            # or "process", "docker" (see servedrill.stacks.commands), "external": URLs
environment = "local"        # local, staging or production, which takes a blast_radius too

[embedded]
engines = 3
gateways = 2
control_port = 0             # 0: any free port

[embedded.settings]          # what servedrill.refstack.config.Stack has, and servedrill does not choose itself
drain_grace_s = 8.0

[proxy]                      # which hops have a fault proxy: servedrill.stacks.proxies
hops = ["gateways", "engines"]
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from servedrill.history.dialect import Dialect
from servedrill.history.promises import Promises
from servedrill.marks.settings import Marks
from servedrill.stacks.commands import Command, ConfigFile, Container, Name
from servedrill.stacks.hooks import Hooks
from servedrill.stacks.proxies import ProxyTable
from servedrill.stacks.roles import Service


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
    health: str = ""
    """The path that answers 200 while it is well, where that is not /health."""
    api_key_env: str | None = None
    """Environment variable with the key that its metrics and its health ask for."""
    listen: str = ""
    """``host:port`` where a fault proxy is to stand in front of it: whoever sends to it has been told to send there."""
    hooks: Hooks = Hooks()


class Weakness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stack does not do, and is known not to: shown with every verdict, instead of failing it."""

    checks: list[str]
    """Checkers whose claims it refutes: names, or ``module:Class`` of other packages; ``:window`` behind one that is
    about one window only."""
    because: str
    """A sentence for the report."""
    drills: list[str] = []
    """Names of drills; empty: all."""


class StackFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stack file, parsed."""

    kind: str = "embedded"
    """One that `servedrill.stacks.kinds` knows."""
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
    """Base URL of an API that rolls candidates out, see `servedrill.stacks.rollouts`; empty: engines are started again
    with another {version}."""
    api_key_env: str | None = None
    promises: Promises | None = None
    marks: Marks = Marks()
    """Where people look: what a drill does is told there."""
    dialect: Dialect | None = None
    """How the stack talks, where it is not to be asked."""
    weaknesses: list[Weakness] = []
    path: str = ""
    """Where it was read from; for messages."""
