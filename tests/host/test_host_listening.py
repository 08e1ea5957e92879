"""Who takes connections at an address of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from servedrill.host.ports import free_ports
from servedrill.host.processes import pid_listening

LISTENS = (
    "import socket, sys; s = socket.create_server((sys.argv[1], 0)); print(s.getsockname()[1], flush=True); input()"
)


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_it_is_the_process_that_listens(bound: str) -> None:
    """Whatever address it has bound."""
    command = [sys.executable, "-c", LISTENS, bound]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert pid_listening("127.0.0.1", port) == process.pid
        assert (pid_listening("127.0.0.2", port) == process.pid) == (bound == "0.0.0.0")
        process.communicate("\n")


def test_who_is_only_connected_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert pid_listening("127.0.0.1", port) == os.getpid()
            assert pid_listening("127.0.0.1", client.getsockname()[1]) is None


def test_nobody_is_nobody() -> None:
    assert pid_listening("127.0.0.1", free_ports(1)[0]) is None
    assert pid_listening("no address", 80) is None
