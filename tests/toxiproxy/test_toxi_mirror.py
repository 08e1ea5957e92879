"""A proxy that mirrors its upstream listens while that does."""

from __future__ import annotations

import socket

import pytest
from toxi_server import Server
from toxi_upstreams import dead_address, echoing, upstream

from servedrill.host.clock import wait_for
from servedrill.toxiproxy.mirror import upstream_listens


def test_a_mirror_refuses_while_nobody_listens(server: Server) -> None:
    """From the start, and no longer when it is no mirror any more."""
    proxy = server.proxy("m", dead_address(), mirror=True)
    assert server.get(proxy.path)["mirror"] is True
    assert server.get(proxy.path)["enabled"] is True
    with pytest.raises(ConnectionRefusedError):
        proxy.connect()
    assert server.call("PATCH", proxy.path, {"mirror": False})[0] == 200
    proxy.connect().close()


def test_a_mirror_listens_as_soon_as_its_upstream_does(server: Server) -> None:
    """What is started again is found by a look; the port is the same, and what comes through is whole."""
    address = dead_address()
    host, _, port = address.partition(":")
    proxy = server.proxy("m", address, mirror=True)

    def accepted() -> bool:
        try:
            proxy.connect().close()
        except ConnectionRefusedError:
            return False
        return True

    with socket.create_server((host, int(port))) as listener:
        wait_for(accepted, what="the mirror to listen", within_s=60)
        with proxy.connect() as peer:
            peer.send(b"hello")
            served, _ = listener.accept()
            while served.recv(16) != b"hello":  # those of before, which were closed
                served.close()
                served, _ = listener.accept()
            served.close()
    wait_for(lambda: not accepted(), what="the mirror to refuse", within_s=60)


def test_a_mirror_that_is_disabled_stays_so(server: Server) -> None:
    """`down` is a fault of its own, whatever the upstream does."""
    with upstream(echoing) as address:
        proxy = server.proxy("m", address, mirror=True)
        server.call("POST", proxy.path, {"enabled": False})
        with pytest.raises(ConnectionRefusedError):
            proxy.connect()
        server.call("POST", proxy.path, {"enabled": True})
        proxy.connect().close()


def test_who_listens_elsewhere_is_not_known() -> None:
    """Other machines, other networks, no address at all: nothing is refused on a guess."""
    assert [upstream_listens(text) for text in ("192.0.2.1:80", "engine:8000", "x")] == [None] * 3
    assert upstream_listens(dead_address()) is False
    with socket.create_server(("0.0.0.0", 0)) as everywhere:
        assert upstream_listens(f"127.0.0.1:{everywhere.getsockname()[1]}") is True
