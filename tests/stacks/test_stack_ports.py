"""Ports for what stacks start: free ones, each for one process only."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from servedrill.errors import StackError
from servedrill.host import ports
from servedrill.host.ports import free_ports, is_free, require_free


def test_free_ports_are_different_and_below_the_range_of_outgoing_connections() -> None:
    """So that no outgoing connection takes one before it is bound."""
    found = free_ports(20)
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert len(set(found)) == 20
    assert all(is_free(port) and port < lowest_ephemeral for port in found)


def test_no_port_is_given_to_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although nobody listens there yet."""
    lowest = random.randrange(20000, 31000)
    monkeypatch.setattr(ports, "_LOWEST", lowest)
    monkeypatch.setattr(ports, "_HIGHEST", lowest + 60)
    ours = free_ports(20)
    asks = f"from servedrill.host import ports; ports._LOWEST, ports._HIGHEST = {lowest}, {lowest + 60}"
    command = [sys.executable, "-c", f"{asks}; print(*ports.free_ports(20))"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(set(ours) | set(map(int, theirs.stdout.split()))) == 40


def test_a_taken_port_is_refused_by_name() -> None:
    """With how to find out who has it."""
    port = free_ports(1)[0]
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(StackError, match=rf"embedded\.control_port: port {port} is taken"):
            require_free(port, where="embedded.control_port")
    assert require_free(port, where="embedded.control_port") == port
