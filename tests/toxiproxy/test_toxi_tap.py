"""The tap: what passed, when, and how it ended, as seen before any toxic."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from toxi_peers import Peer, get, post
from toxi_server import Proxy, Server
from toxi_upstreams import EVENTS, STREAM, Engine, echoing, upstream

from servedrill.host.clock import wait_for


@pytest.fixture
def proxy(server: Server, engine: Engine) -> Iterator[Proxy]:
    with upstream(engine) as address:
        yield server.proxy("p", address, tap=True)


def only(proxy: Proxy, **expected: Any) -> dict[str, Any]:
    """The one exchange of a proxy, once it says what is expected of it."""

    def arrived() -> bool:
        found = proxy.exchanges()
        return len(found) == 1 and all(found[0][key] == value for key, value in expected.items())

    wait_for(arrived, what=f"exchange with {expected}", within_s=30)
    return proxy.exchanges()[0]


def test_an_exchange_is_listed_with_its_ids_times_and_size(proxy: Proxy) -> None:
    """The clock is the one of every process on this machine."""
    before = time.monotonic_ns()
    with proxy.http() as client:
        client.fetch(post("/chunked?x=1", b"{}", "X-Request-ID: r-1", "X-Attempt: 2"))
    after = time.monotonic_ns()
    exchange = only(proxy, end="complete")
    assert list(exchange) == (
        [
            "seq",
            "connection",
            "method",
            "path",
            "request_id",
            "attempt",
            "t_request_ns",
            "t_response_ns",
            "t_end_ns",
            "status",
            "retry_after_s",
            "bytes_down",
            "end",
        ]
    )
    assert (exchange["method"], exchange["path"], exchange["status"]) == ("POST", "/chunked?x=1", 200)
    assert (exchange["request_id"], exchange["attempt"]) == ("r-1", "2")
    assert before <= exchange["t_request_ns"] <= exchange["t_response_ns"] <= exchange["t_end_ns"] <= after
    assert exchange["bytes_down"] > len(STREAM)


def test_an_exchange_is_listed_again_when_it_changes(proxy: Proxy, engine: Engine) -> None:
    """At its request head, at its response head, at its end; `next` is where to read on."""
    with proxy.http() as client:
        client.peer.send(get("/gated"))
        wait_for(lambda: bool(proxy.exchanges()), what="request", within_s=30)
        engine.step(6)
        client.read()
        page = proxy.server.get(f"{proxy.path}/exchanges?since=0")
        wait_for(lambda: proxy.exchanges()[0]["end"] is not None, what="end", within_s=30)
        page = proxy.server.get(f"{proxy.path}/exchanges?since=0")
        assert (page["next"], len(page["exchanges"]), page["more"], page["lost"]) == (3, 1, False, 0)
        assert proxy.exchanges(since=2)[0]["end"] == "complete"
        assert proxy.exchanges(since=3) == []
        client.fetch(get("/json"))
        wait_for(lambda: proxy.exchanges(3)[-1:] and proxy.exchanges(3)[-1]["end"], what="second", within_s=30)
        assert [exchange["seq"] for exchange in proxy.exchanges(since=3)] == [2]


def test_a_request_in_a_black_hole_is_visible(proxy: Proxy) -> None:
    """The tap reads before the toxics, so what they swallow was seen."""
    proxy.add("timeout", {"timeout": 0}, stream="upstream")
    with proxy.http() as client:
        client.peer.send(get("/json"))
        exchange = only(proxy, end=None)
        assert exchange["t_response_ns"] is None
    assert only(proxy, end="client_closed")["t_end_ns"] is not None


def test_every_framing_is_followed_to_its_end(proxy: Proxy) -> None:
    """On a keep-alive connection, with HEAD and uploads among the requests."""
    with proxy.http() as client:
        for request in [
            get("/ragged"),
            get("/chunked", method="HEAD"),
            get("/fixed"),
            post("/json", b"x" * 100000),
            get("/json"),
            get("/json", method="HEAD"),
            get("/close"),
        ]:
            client.fetch(request)
    wait_for(lambda: all(e["end"] for e in proxy.exchanges()), what="all ended", within_s=30)
    found = proxy.exchanges()
    assert {exchange["end"] for exchange in found} == {"complete"}
    assert {exchange["connection"] for exchange in found} == {1}
    assert [exchange["path"] for exchange in found] == [
        "/ragged", "/chunked", "/fixed", "/json", "/json", "/json", "/close"
    ]  # fmt: skip


def test_pipelined_requests_are_told_apart(proxy: Proxy) -> None:
    """Answers belong to requests in their order."""
    with proxy.http() as client:
        client.peer.send(get("/slow", "x-request-id: a") + get("/json", "x-request-id: b"))
        client.read()
        client.read()
    wait_for(lambda: all(e["end"] for e in proxy.exchanges()), what="all ended", within_s=30)
    sizes = {exchange["request_id"]: exchange["bytes_down"] for exchange in proxy.exchanges()}
    assert sizes["a"] > len(STREAM) > sizes["b"]


def talk_and(ending: str) -> Any:
    """An upstream that ends in the middle of an answer."""

    def talk(peer: Peer) -> None:
        peer.receive_until(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        if ending == "reset":
            peer.reset()

    return talk


@pytest.mark.parametrize(("ending", "end"), [("close", "upstream_closed"), ("reset", "upstream_reset")])
def test_an_upstream_that_dies_is_blamed(server: Server, ending: str, end: str) -> None:
    """A FIN and an RST in the middle of an answer are different ends."""
    with upstream(talk_and(ending)) as address:
        proxy = server.proxy("q", address, tap=True)
        with proxy.http() as client:
            client.fetch(get("/"))
        assert only(proxy, end=end)["status"] == 200


@pytest.mark.parametrize(("ending", "end"), [("close", "client_closed"), ("reset", "client_reset")])
def test_a_client_that_leaves_is_blamed(proxy: Proxy, engine: Engine, ending: str, end: str) -> None:
    """In the middle of a stream."""
    peer = proxy.connect()
    peer.send(get("/gated"))
    engine.step(1)
    peer.receive_until(EVENTS[0])
    getattr(peer, ending)()
    wait_for(lambda: (engine.step(1), proxy.exchanges()[0]["end"])[1] is not None, what="end", within_s=30)
    only(proxy, end=end)


@pytest.mark.parametrize(
    ("type_name", "attributes"),
    [
        ("cut_stream", {"after_events": 2}),
        ("cut_stream", {"after_events": 2, "reset": True}),
        ("limit_data", {"bytes": 150}),
        ("reset_peer", {"timeout": 20}),
    ],
)
def test_a_toxic_that_ends_a_connection_is_blamed(proxy: Proxy, type_name: str, attributes: dict[str, Any]) -> None:
    """Not the upstream that the proxy closed on its behalf."""
    proxy.add(type_name, attributes)
    with proxy.http() as client:
        client.fetch(get("/slow"))
        only(proxy, end="toxic")


def test_an_answer_made_by_a_toxic_is_listed_as_such(proxy: Proxy) -> None:
    """With the status that the client got and the wait that it was asked for."""
    proxy.add("http_status", {"status": 429, "retry_after": 2, "fail_times": 1})
    with proxy.http() as client:
        client.fetch(get("/json"))
        exchange = only(proxy, end="toxic")
        assert (exchange["status"], exchange["retry_after_s"], exchange["bytes_down"]) == (429, 2.0, 0)
        client.fetch(get("/json"))
        wait_for(
            lambda: len(proxy.exchanges()) == 2 and proxy.exchanges()[1]["end"] == "complete", what="2", within_s=30
        )


def test_taking_a_proxy_down_ends_its_exchanges(proxy: Proxy, engine: Engine) -> None:
    """That too is a fault that was put in place."""
    with proxy.http() as client:
        client.peer.send(get("/gated"))
        only(proxy, end=None)
        proxy.server.call("PATCH", proxy.path, {"enabled": False})
        only(proxy, end="toxic")
    engine.step(6)


def test_what_is_not_http_turns_the_tap_off_and_passes(server: Server) -> None:
    """Nothing is listed and nothing is broken."""
    with upstream(echoing) as address:
        proxy = server.proxy("q", address, tap=True)
        for data in (b"hello", b"\x00\x01" * 50_000, b"GET key\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n"):
            with proxy.connect() as peer:
                peer.send(data)
                assert peer.receive(len(data)) == data
        assert proxy.exchanges() == []


def test_the_tap_says_when_it_is_not_there(server: Server, echo: str) -> None:
    """A proxy without a tap, and a counter that is none."""
    proxy = server.proxy("q", echo)
    assert server.call("GET", f"{proxy.path}/exchanges")[0] == 404
    assert "tap" not in server.get(proxy.path)
    assert server.call("PATCH", proxy.path, {"tap": True})[1]["tap"] is True
    assert server.call("GET", f"{proxy.path}/exchanges?since=x")[0] == 400
    assert server.get(f"{proxy.path}/exchanges?since=99")["exchanges"] == []


def test_stats_count_connections_and_bytes(proxy: Proxy) -> None:
    """Apart from the standard body, which stays as it was."""
    assert proxy.stats() == {"connections": 0, "accepted": 0, "refused": 0, "bytes_up": 0, "bytes_down": 0}
    with proxy.http() as client:
        client.fetch(get("/json"))
        stats = proxy.stats()
        assert (stats["connections"], stats["accepted"], stats["bytes_up"]) == (1, 1, len(get("/json")))
    proxy.quiet()
    assert "stats" not in proxy.server.get(proxy.path)
