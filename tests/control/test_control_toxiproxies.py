"""toxiproxy-python within bounds: whatever answers, and whoever else uses the library."""

from __future__ import annotations

import pytest
import toxiproxy.proxy
import toxiproxy.server
from toxiproxy.api import APIConsumer

from servedrill.control.toxiproxies import toxiproxy_at
from servedrill.errors import FaultError
from tests.worlds.hostile import BODIES, HEADS, hostile


@pytest.mark.parametrize("mode", ["a head that drips", "200 MB", "gzip bomb", "too deep", "a list", "noise"])
def test_a_server_that_makes_no_sense_is_an_error_of_a_fault(mode: str) -> None:
    """The library trusts every answer; each of these comes to an end, and says where it was."""
    with hostile({"any": {**HEADS, **BODIES}[mode]}) as url:
        address = url.removeprefix("http://")
        with pytest.raises(FaultError, match=f"the fault proxy at {address}"), toxiproxy_at(address) as server:
            server.get_proxy("engine-0").listen  # noqa: B018


def test_who_uses_the_library_beside_it_finds_it_as_it_was() -> None:
    APIConsumer.host, before = "10.0.0.7", APIConsumer.host
    try:
        with pytest.raises(FaultError), toxiproxy_at("127.0.0.1:1") as server:
            server.proxies()
        assert toxiproxy.server.APIConsumer is toxiproxy.proxy.APIConsumer is APIConsumer
        assert APIConsumer.host == "10.0.0.7"
    finally:
        APIConsumer.host = before
