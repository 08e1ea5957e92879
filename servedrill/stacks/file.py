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

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from servedrill.errors import FileError
from servedrill.files.documents import Document, Kind, read_documents
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key, Mistake
from servedrill.history.promises import Promises
from servedrill.stacks.command_rules import check_commands, names_in_doubt
from servedrill.stacks.commands import Command, ConfigFile, Container, Name, expanded
from servedrill.stacks.hooks import Hooks
from servedrill.stacks.proxies import ProxyTable
from servedrill.stacks.proxy_rules import HOST_PORT, check_hops, check_proxy, is_address
from servedrill.stacks.roles import ENGINE, GATEWAY, OTHER, Service

ENGINES_MAX, GATEWAYS_MAX = 16, 8
"""Of the embedded stack."""
FILES = Kind(
    file="a stack file, or no --stack for the embedded stack",
    object='a stack, such as kind = "embedded"',
    otherwise="TOML",
)


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
    """The file's content; the embedded stack with its defaults when there is none. Raises `FileError` with every mistake in it."""
    if path is None:
        return StackFile()
    file, mistakes = _read(path)
    if mistakes:
        raise FileError(map(str, mistakes))
    return file


def check_stack_files(paths: Sequence[Path]) -> list[Mistake]:
    """Every mistake in the files, one file after the other, from top to bottom."""
    return [mistake for path in paths for mistake in _read(path)[1]]


def _read(path: Path) -> tuple[StackFile, list[Mistake]]:
    """What the file probably means, and what is wrong with it."""
    mistakes = Mistakes()
    documents, mistakes.found = read_documents(path, FILES)
    if not documents:
        return StackFile(), mistakes.listed([path])
    for another in documents[1:]:
        mistakes.wrong(another, (), "another stack", expected="one in a file")
    file, document = mistakes.read(documents[0], StackFile, advice=advice)
    _check(mistakes, document, file)
    found = mistakes.listed([path])
    return (file if found else _expanded(file, path)), found


def _expanded(file: StackFile, path: Path) -> StackFile:
    """With a command for each process."""
    commands: list[Command] = [*file.process, *file.container]
    process, container = expanded(file.process, commands), expanded(file.container, commands)
    return msgspec.structs.replace(file, process=process, container=container, path=str(path))


def advice(key: Key, value: Any) -> tuple[str, str] | None:
    """What a value of a wrong type in a stack file was probably meant to be; see `servedrill.files.shapes.Advice`."""
    if key and key[-1] in ("command", "after", "mounts", "hops") and isinstance(value, str):
        words = value.split() if key[-1] == "command" else [value]
        return "a list of texts", f"did you mean {json.dumps(words, ensure_ascii=False)}?"
    return None


# ---- what the parts mean; how to add a rule: `servedrill.files.mistakes`


def _check(mistakes: Mistakes, document: Document, file: StackFile) -> None:
    _check_ranges(mistakes, document, file)
    if file.environment == "production" and not file.blast_radius:
        expected = 'what a drill may cost users at worst, in a sentence: blast_radius = "..."'
        mistakes.wrong(document, ("environment",), "is production, and there is no blast_radius", expected=expected)
    check_proxy(mistakes, document, file.proxy, on_loopback=file.kind != "external")
    if mistakes.in_doubt(document, ("kind",)):
        return
    for table, kinds in _KINDS.items():
        if getattr(file, table) and file.kind not in kinds:
            expected = " or ".join(f'kind = "{kind}"' for kind in kinds)
            mistakes.wrong(document, (table,), f'has no use where kind is "{file.kind}"', expected=expected)
    if file.kind != "embedded" and file.promises is None:
        expected = "at least the model that users ask for: [promises] model"
        mistakes.wrong(document, ("promises",), "is missing", expected=expected)
    commands: dict[Key, Command] = {("process", number): one for number, one in enumerate(file.process)}
    commands |= {("container", number): one for number, one in enumerate(file.container)}
    if file.kind in ("process", "docker"):
        check_commands(mistakes, document, commands)
        _check_files(mistakes, document, file)
    if file.kind == "external":
        _check_external(mistakes, document, file)
    if not names_in_doubt(mistakes, document, commands) and not _hops_in_doubt(mistakes, document, file):
        check_hops(mistakes, document, file.proxy, _expanded(file, Path()).hop_groups())


def _hops_in_doubt(mistakes: Mistakes, document: Document, file: StackFile) -> bool:
    """Whether it is not known for sure which engines and gateways of the embedded stack, or replicas of an external one, there are."""
    if file.kind == "embedded" and not (
        1 <= file.embedded.engines <= ENGINES_MAX and 1 <= file.embedded.gateways <= GATEWAYS_MAX
    ):
        return True
    keys: list[Key] = [("embedded",), ("embedded", "engines"), ("embedded", "gateways"), ("replica",)]
    keys += [("replica", number, field) for number in range(len(file.replica)) for field in ("name", "role")]
    return any(mistakes.in_doubt(document, key) for key in keys)


_KINDS: dict[str, tuple[str, ...]] = {
    "process": ("process", "docker"),
    "container": ("docker",),
    "external": ("external",),
    "replica": ("external",),
    "rollouts": ("process", "docker"),
    "nice": ("process", "docker"),
}
"""Parts that say something of some kinds of stacks only; elsewhere another stack would be drilled than the file is about."""


def _check_ranges(mistakes: Mistakes, document: Document, file: StackFile) -> None:
    ports = ("control_port", "alerts_port", "dns_port", "name_port")
    for key, value, lowest, highest in (
        (("embedded", "engines"), file.embedded.engines, 1, ENGINES_MAX),
        (("embedded", "gateways"), file.embedded.gateways, 1, GATEWAYS_MAX),
        *((("embedded", port), getattr(file.embedded, port), 0, 65535) for port in ports),
        (("nice",), file.nice, 0, 19),
    ):
        if not lowest <= value <= highest:
            mistakes.wrong(document, key, f"is {value}", expected=f"{lowest} to {highest}")


def _check_files(mistakes: Mistakes, document: Document, file: StackFile) -> None:
    for number, written in enumerate(file.file):
        if Path(written.path).is_absolute() or ".." in Path(written.path).parts:
            what, expected = f"is {written.path!r}", "a path below the drill's folder"
            mistakes.wrong(document, ("file", number, "path"), what, expected=expected)


def _check_external(mistakes: Mistakes, document: Document, file: StackFile) -> None:
    if file.external is None:
        expected = 'where users come in: [external] url = "http://..."'
        mistakes.wrong(document, ("external",), "is missing", expected=expected)
    elif not _is_url(file.external.url):
        mistakes.wrong(document, ("external", "url"), f"is {file.external.url!r}", expected=_URL)
    first: dict[str, int] = {}
    for number, replica in enumerate(file.replica):
        key = ("replica", number)
        if first.setdefault(replica.name, number) != number:
            line = document.at(("replica", first[replica.name], "name")).line
            what = f"{replica.name!r} twice, first in line {line}"
            mistakes.wrong(document, (*key, "name"), what, expected="a name of its own for each")
        if not _is_url(replica.url):
            mistakes.wrong(document, (*key, "url"), f"is {replica.url!r}", expected=_URL)
        if replica.listen and not is_address(replica.listen):
            mistakes.wrong(document, (*key, "listen"), f"is {replica.listen!r}", expected=HOST_PORT)


_URL = "http://host:port or https://host"


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
