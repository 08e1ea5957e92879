"""The DNS name in front of the gateways of a stack of commands: servedrill's own server, with health checks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from servedrill.control.bounded import read
from servedrill.errors import NotInTime, StackError
from servedrill.files.logs import tail
from servedrill.host.clock import wait_for
from servedrill.stacks.commands import Command, Name, Ready
from servedrill.stacks.keeper import package_path
from servedrill.stacks.roles import GATEWAY, OTHER
from servedrill.stacks.supervisor import Planned, Restart

DNS = "dns"
"""What its process is called."""


class Records(msgspec.Struct, frozen=True):
    """What a server of the name says at /records: what it was told to answer, and what it answers."""

    addresses: list[str] = []
    answers: list[str] = []


class DnsName:
    """``given`` is the name as the file has it, ``port`` the port of a process, ``leads_to`` the gateways' own, the
    same at each address."""

    def __init__(
        self, given: Name, gateways: Sequence[Command], *, port: Callable[[str], int], leads_to: int, folder: Path
    ) -> None:
        self._given, self._port, self._leads_to, self._folder = given, port, leads_to, folder
        self._gateways = [command for command in gateways if command.role == GATEWAY]

    @property
    def url(self) -> str:
        """Where users come in."""
        return f"http://{self._given.name}:{self._leads_to}"

    @property
    def server(self) -> str:
        """``host:port`` of the server; TCP answers its records, UDP the questions."""
        return f"127.0.0.1:{self._port(DNS)}"

    @property
    def addresses(self) -> dict[str, str]:
        """Gateway -> the address that the name has for it."""
        return {gateway.name: gateway.published for gateway in self._gateways if gateway.published}

    def planned(self) -> Planned:
        """Its process; writes its configuration."""
        config = self._folder / "dns.json"
        config.write_text(json.dumps(self._config()))
        return Planned(
            name=DNS,
            role=OTHER,
            command=[sys.executable, "-m", "servedrill.refstack", "--config", str(config), "dns"],
            env={"PYTHONPATH": package_path()},
            folder=str(self._folder),
            log=str(self._log),
            restart=Restart(policy="never"),
        )

    def wait(self, http: httpx.Client) -> None:
        """Until it has every gateway, for as long as the slowest of them may take to get ready.

        Raises `StackError` with the end of its log.
        """
        within_s = max(
            [gateway.ready.within_s for gateway in self._gateways if gateway.ready], default=Ready().within_s
        )
        try:
            wait_for(
                lambda: self._complete(http),
                what="the DNS name to have every gateway",
                within_s=within_s,
            )
        except NotInTime as error:
            raise StackError(str(error), hint=tail(self._log)) from error

    @property
    def _log(self) -> Path:
        return self._folder / "logs" / f"{DNS}.log"

    def _complete(self, http: httpx.Client) -> bool:
        try:
            answers = read(http.get(f"http://{self.server}/records", timeout=1), Records).answers
        except httpx.HTTPError:
            return False
        return set(answers) == set(self.addresses.values())

    def _config(self) -> dict[str, Any]:
        given = self._given
        return {
            "engines": [],
            "gateways": [
                {
                    "name": c.name,
                    "host": "127.0.0.1",
                    "port": self._port(c.name),
                    "published_at": c.published,
                    "health_path": c.health,
                }
                for c in self._gateways
            ],
            "models": [{"version": "v1"}],  # the server of names asks for one, and does nothing with it
            "control_port": 0,
            "alerts_port": 0,
            "dns_port": self._port(DNS),
            "name": given.name,
            "name_port": self._leads_to,
            "dns_ttl_s": given.ttl_s,
            "dns_check_interval_s": given.check_interval_s,
            "dns_check_timeout_s": given.check_timeout_s,
            "dns_check_failures": given.check_failures,
            "log_dir": str(self._folder / "logs"),
        }
