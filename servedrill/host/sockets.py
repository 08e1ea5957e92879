"""Bytes of the connections that are open at an address, as the kernel counts them (sock_diag(7), tcp_info).

It is a witness beside the proxy: a server that keeps no account of what its toxics did cannot bend it. It sees
connections of this machine that are open at that moment, and their bytes on the side of the proxy's clients, no more.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

_SOCK_DIAG_BY_FAMILY = 20
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_INFO = 2
"""INET_DIAG_INFO: the attribute that carries struct tcp_info."""
_STATES = (1 << 1) | (1 << 4) | (1 << 5) | (1 << 8)
"""ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT."""
_LISTEN = 1 << 10
_HEADER = struct.Struct("=IHHII")
_MESSAGE_BYTES = 72
_INODE_AT = 68
_ACKED_AND_RECEIVED = struct.Struct("=QQ")
_ACKED_AT = 120
"""Of tcpi_bytes_acked in struct tcp_info; tcpi_bytes_received follows. Since Linux 4.1."""


_Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Carried:
    """Bytes that an end of a connection has received from its peer, and sent to it."""

    received: int
    sent: int


def carried_at(host: str, port: int) -> dict[int, Carried]:
    """Open connections whose local end is ``host:port``, by the kernel's own number of each; raises `OSError`."""
    wanted = ipaddress.ip_address(host)
    found: dict[int, Carried] = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in _dump(family, _STATES):
            local_port = int.from_bytes(message[4:6], "big")
            address = _local(family, message)
            if local_port != port or not (address == wanted or wanted.is_unspecified):
                continue
            info = _attributes(message[_MESSAGE_BYTES:]).get(_INFO, b"")
            if len(info) >= _ACKED_AT + _ACKED_AND_RECEIVED.size:
                sent, received = _ACKED_AND_RECEIVED.unpack_from(info, _ACKED_AT)
                found[int.from_bytes(message[44:52], "little")] = Carried(received, sent)
    return found


def listening() -> Callable[[str, int], bool]:
    """What says of an address of this machine whether somebody listens there now; raises `OSError`."""
    found: dict[int, list[_Ip]] = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in _dump(family, _LISTEN):
            found.setdefault(int.from_bytes(message[4:6], "big"), []).append(_local(family, message))

    def listens(host: str, port: int) -> bool:
        wanted = ipaddress.ip_address(host)
        return any(address == wanted or address.is_unspecified for address in found.get(port, ()))

    return listens


def listeners(host: str, port: int) -> set[int]:
    """The kernel's numbers (inodes) of the sockets that take connections to an address of this machine; raises
    `OSError`."""
    wanted, found = ipaddress.ip_address(host), set[int]()
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in _dump(family, _LISTEN):
            address = _local(family, message)
            there = address == wanted or address.is_unspecified
            if there and int.from_bytes(message[4:6], "big") == port:
                found.add(int.from_bytes(message[_INODE_AT:_MESSAGE_BYTES], sys.byteorder))
    return found


def _local(family: int, message: bytes) -> _Ip:
    """The address of our end."""
    address = ipaddress.ip_address(message[8:12] if family == socket.AF_INET else message[8:24])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _dump(family: int, states: int) -> list[bytes]:
    """One struct inet_diag_msg with its attributes for each TCP socket in one of these states."""
    body = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), states) + bytes(48)
    head = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST | _DUMP, 1, 0)
    messages: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as netlink:  # 4: NETLINK_SOCK_DIAG
        netlink.settimeout(2)
        netlink.send(head + body)
        while True:
            data = netlink.recv(1 << 18)
            while len(data) >= _HEADER.size:
                length, kind, *_ = _HEADER.unpack_from(data)
                if kind == _DONE:
                    return messages
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", data, _HEADER.size)[0]
                    raise OSError(number, "the kernel does not list its sockets")
                messages.append(data[_HEADER.size : length])
                data = data[(length + 3) & ~3 :]


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found
