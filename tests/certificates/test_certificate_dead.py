"""A process that was killed looks the same through the fault proxy as without it."""

from __future__ import annotations

from pathlib import Path

from real_server import asks, clients, connects, health, hears, world

from servedrill.host.clock import wait_for

DEAD = {
    "idle": "end",
    "first byte": "end",
    "mid-stream": "end",
    "kept-alive": "lost",
    "new connection": "refused",
    "health check": "refused",
}
"""What the kernel does for a process that was killed."""


def test_a_killed_process_refuses_through_the_proxy_too(tmp_path: Path) -> None:
    """Open connections end, and soon nobody is connected any more: whoever retries refused connections is served."""
    with world(tmp_path) as it, clients(it.direct) as direct, clients(it.proxied) as proxied:
        it.process.kill()
        it.process.wait()
        seen = {}
        for port, open_ones in ((it.direct, direct), (it.proxied, proxied)):
            seen[port] = {name: hears(sock) for name, sock in open_ones.items()}
            asks(open_ones["idle"])  # the first finds out
            seen[port]["kept-alive"] = asks(open_ones["idle"]).replace("end", "lost")
            # The kernel ends a process's connections before it stops listening for it: the proxy looks again.
            wait_for(lambda port=port: connects(port) == "refused", what="a refusal", within_s=60)
            seen[port] |= {"new connection": connects(port), "health check": health(port)}
    assert seen[it.direct] == DEAD
    assert seen[it.proxied] == DEAD


def test_a_process_that_was_idle_refuses_soon(tmp_path: Path) -> None:
    """Without any open connection nothing tells the proxy of the end: it looks, fifty times a second."""
    with world(tmp_path) as it:
        it.process.kill()
        it.process.wait()
        wait_for(lambda: connects(it.proxied) == "refused", what="a refusal", within_s=60)
        assert [connects(it.proxied) for _ in range(20)] == ["refused"] * 20
