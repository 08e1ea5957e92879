"""toxiproxy-python, as published, drives the embedded server; what a proxy does is seen through it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from toxi_peers import Stopwatch
from toxi_server import Proxy, Server
from toxiproxy import Toxiproxy
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from servedrill.host.clock import wait_for


@pytest.fixture
def client(server: Server) -> Iterator[Toxiproxy]:
    toxiproxy = Toxiproxy()
    toxiproxy.update_api_consumer("127.0.0.1", server.port)
    yield toxiproxy
    toxiproxy.destroy_all()


def test_a_proxy_and_its_toxics_from_end_to_end(client: Toxiproxy, server: Server, echo: str) -> None:
    """Create, delay, disable, enable, destroy."""
    assert client.running()
    assert "2.12.0" in str(client.version())
    proxy = client.create(name="py", upstream=echo, listen="127.0.0.1:0")
    proxy.add_toxic(name="slow", type="latency", attributes={"latency": 60})
    assert proxy.get_toxic("slow").attributes["latency"] == 60
    with Proxy(server, "py", proxy.listen).connect() as peer:
        watch = Stopwatch()
        peer.send(b"x")
        assert peer.receive(1) == b"x"
        assert watch.s >= 0.059
        proxy.disable()
        assert peer.receive_all() == (b"", "fin")
    proxy.enable()
    wait_for(lambda: server.get("/proxies/py")["enabled"], what="enabled", within_s=30)
    proxy.destroy_toxic("slow")
    assert server.get("/proxies/py/toxics") == []
    assert client.destroy(proxy)
    assert client.proxies() == {}


def test_populate_and_reset(client: Toxiproxy, server: Server, echo: str) -> None:
    """The calls that test suites make before each test."""
    made = client.populate([{"name": name, "upstream": echo, "listen": "127.0.0.1:0"} for name in ("one", "two")])
    assert [proxy.name for proxy in made] == ["one", "two"]
    client.get_proxy("one").add_toxic(type="timeout", attributes={"timeout": 0})
    client.reset()
    assert server.get("/proxies/one/toxics") == []


def test_errors_become_the_client_s_exceptions(client: Toxiproxy, echo: str) -> None:
    """409, 404 and 400 are told apart."""
    proxy = client.create(name="py", upstream=echo, listen="127.0.0.1:0")
    with pytest.raises(ProxyExists):
        client.create(name="py", upstream=echo)
    with pytest.raises(InvalidToxic):
        proxy.add_toxic(type="latency", stream="lolstream", attributes={"latency": 123})
    with pytest.raises(NotFound):
        APIConsumer.get("/proxies/nothing")
