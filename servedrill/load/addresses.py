"""Addresses, and where new connections go: the seam between the pool and what resolves the stack's name."""

from __future__ import annotations

from typing import Protocol


def split_host_port(text: str) -> tuple[str, int]:
    """Host (IPv6 without its brackets) and port of ``host:port``; raises `ValueError` where the port is no number."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def join_host_port(host: str, port: int) -> str:
    """``host:port``, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Addresses(Protocol):
    """Where the next new connection goes."""

    failures: int
    """How often the name could not be resolved anew."""

    async def pick(self) -> str:
        """One IP address, or a name for the system's resolver; raises `OSError` when there is none."""
        ...


class SystemName:
    """Leaves the name to the system's resolver."""

    def __init__(self, name: str) -> None:
        self.failures = 0
        self._name = name

    async def pick(self) -> str:
        """The name itself."""
        return self._name
