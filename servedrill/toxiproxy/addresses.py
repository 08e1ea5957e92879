"""Addresses as the control API writes them: `host:port`, `[v6]:port`, `:port`, or nothing at all.

An address without a host means loopback here, not every interface: whoever wants a fault proxy that the whole network
can reach has to say so (`0.0.0.0:8666`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import NamedTuple

from servedrill.host.addresses import join_host_port

LOOPBACK = "127.0.0.1"


class ListenError(Exception):
    """A proxy cannot listen where it was told to; the text is what the API answers with."""


class Address(NamedTuple):
    """A numeric host and a port, ready to bind."""

    host: str
    port: int

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)

    @property
    def family(self) -> socket.AddressFamily:
        """The family of a socket for this address."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host.split("%")[0]).is_loopback


def split_host_port(text: str) -> tuple[str, int]:
    """Host (IPv6 without its brackets) and port of `host:port`.

    Stricter than `servedrill.host.addresses`, and raises `ValueError` in the words of the API: clients see them.
    """
    host, colon, port_text = text.rpartition(":")
    if not colon:
        raise ValueError(f"address {text}: missing port in address")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"address {text}: too many colons in address")
    if not (port_text.isascii() and port_text.isdigit() and len(port_text) < 6 and int(port_text) < 65536):
        raise ValueError(f"address {port_text}: invalid port")
    return host, int(port_text)


async def resolve(text: str) -> Address:
    """The numeric address behind a `listen` text, IPv4 first; raises `ListenError`."""
    try:
        host, port = split_host_port(text or f"{LOOPBACK}:0")
    except ValueError as problem:
        raise ListenError(f"listen tcp: {problem}") from None
    if host in ("", "localhost"):
        return Address(LOOPBACK, port)
    try:
        return Address(str(ipaddress.ip_address(host)), port)
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ListenError(f"listen tcp: lookup {host}: no such host") from None
    best = min(found, key=lambda info: info[0] != socket.AF_INET)
    return Address(str(best[4][0]), port)


def bind(address: Address) -> socket.socket:
    """A bound socket that does not listen yet; raises `ListenError`."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((address.host, address.port))
    except OSError as problem:
        sock.close()
        raise listen_error(address, problem) from None
    return sock


def listen_error(address: Address, problem: OSError) -> ListenError:
    """What the API says when a bind or a listen fails."""
    return ListenError(f"listen tcp {address}: bind: {(problem.strerror or str(problem)).lower()}")
