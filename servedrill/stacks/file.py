"""Stack files: one TOML file says what is drilled.

kind = "embedded"            # which sort of stack
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


class StackFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stack file, parsed."""

    kind: Literal["embedded"] = "embedded"
    name: str = "embedded"
    environment: Literal["local", "staging", "production"] = "local"
    owner: str = ""
    """Who answers for the stack: a team, a person. For incident files."""
    escalation: str = ""
    """Whom to turn to when the owner does not answer."""
    embedded: Embedded = Embedded()
    proxy: ProxyTable = ProxyTable()


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
    file.proxy.check(file.embedded.hop_groups(), where=str(path), on_loopback=True)
    return file


def _explained(message: str) -> str:
    """msgspec's message, with the key that was probably meant."""
    match = re.search(r"unknown field `(\w+)`", message)
    if match is None:
        return message
    known = {field for table in (StackFile, Embedded, ProxyTable, ExtraHop) for field in table.__struct_fields__}
    close = difflib.get_close_matches(match[1], sorted(known), n=1)
    return message + (f"; did you mean `{close[0]}`?" if close else "")
