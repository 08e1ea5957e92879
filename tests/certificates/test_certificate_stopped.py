"""A black hole looks like the same server stopped (SIGSTOP)."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from real_server import asks, clients, connects, health, hears, world

from servedrill.faults.network import black_hole

STOPPED = {
    "idle": "silence",
    "first byte": "silence",
    "mid-stream": "silence",
    "kept-alive": "silence",
    "new connection": "connected",
    "health check": "silence",
}


def seen(port: int, open_ones: dict[str, socket.socket]) -> dict[str, str]:
    """What clients of a port see."""
    found = {name: hears(sock) for name, sock in open_ones.items()}
    found["kept-alive"] = asks(open_ones["idle"])
    return found | {"new connection": connects(port), "health check": health(port)}


def test_a_black_hole_is_as_silent_as_a_stopped_process(tmp_path: Path) -> None:
    """Connections open, and nothing is heard on any of them."""
    with world(tmp_path) as it:
        with clients(it.direct) as direct:
            it.process.send_signal(signal.SIGSTOP)
            assert seen(it.direct, direct) == STOPPED
            it.process.send_signal(signal.SIGCONT)
        with clients(it.proxied) as proxied:
            fault = black_hole(it, "engine-0")
            fault.inject()
            assert seen(it.proxied, proxied) == STOPPED
            assert fault.evidence().proven


def test_a_black_hole_swallows_the_end_of_the_server(tmp_path: Path) -> None:
    """Who is stopped closes nothing: when the server gives a connection up, its client must not hear of it."""
    with world(tmp_path) as it, clients(it.proxied) as proxied:
        black_hole(it, "engine-0").inject()
        it.process.kill()
        it.process.wait()
        assert {name: hears(sock) for name, sock in proxied.items()} == dict.fromkeys(proxied, "silence")


def test_an_idle_connection_outlives_a_black_hole(tmp_path: Path) -> None:
    """As with SIGCONT: who lost nothing goes on, and who lost something is closed."""
    with world(tmp_path) as it, clients(it.proxied) as proxied:
        fault = black_hole(it, "engine-0")
        fault.inject()
        assert asks(proxied["mid-stream"]) == "silence"
        assert health(it.proxied) == "silence"
        assert fault.heal().proven
        assert asks(proxied["idle"]) == "answer"
