"""The toxic `http_status`: the proxy answers requests in place of the upstream."""

from __future__ import annotations

import json
from typing import Any

import pytest
from toxi_peers import get, post
from toxi_server import Proxy, Server
from toxi_upstreams import STREAM, Engine, dead_address, upstream


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 418])
def test_it_answers_as_an_openai_style_server(proxy: Proxy, engine: Engine, status: int) -> None:
    """The upstream does not see the request."""
    name = proxy.add("http_status", {"status": status, "retry_after": 3, "body_message": "busy"})
    with proxy.http() as client:
        answer = client.fetch(post("/json", b"{}"))
        assert (answer.status, answer.headers["retry-after"]) == (status, "3")
        error = json.loads(answer.body)["error"]
        assert (error["message"], error["code"]) == ("busy", status)
        assert error["type"] == ("server_error" if status >= 500 else error["type"])
        assert client.fetch(get("/json", method="HEAD")).status == status
        assert client.fetch(post("/json", b"x" * 200_000)).status == status
    assert engine.requests == []
    assert proxy.evidence(name)["answers_made"] == 3


def test_its_answer_has_the_id_of_its_request_and_a_mark(proxy: Proxy) -> None:
    """As an engine's error has: who passes errors on keeps the id. The mark says that no engine said so."""
    proxy.add("http_status", {"status": 503})
    with proxy.http() as client:
        answer = client.fetch(post("/json", b"{}", "x-request-id: req-7"))
        assert (answer.headers["x-request-id"], answer.headers["x-servedrill-fault"]) == ("req-7", "http_status")
        error = json.loads(answer.body)["error"]
        assert (error["request_id"], error["param"]) == ("req-7", None)
        nameless = client.fetch(post("/json", b"{}"))
        assert "x-request-id" not in nameless.headers
        assert "request_id" not in json.loads(nameless.body)["error"]


def test_it_fails_so_many_times_and_then_succeeds(proxy: Proxy) -> None:
    """Counted over all connections."""
    proxy.add("http_status", {"status": 503, "fail_times": 3})
    statuses = []
    for _ in range(3):
        with proxy.http() as client:
            statuses += [client.fetch(get("/json")).status for _ in range(2)]
    assert statuses == [503, 503, 503, 200, 200, 200]


def test_probability_is_drawn_per_request_and_replays(server: Server, engine: Engine) -> None:
    """The same proxy and toxic names on the same server draw the same."""
    runs = []
    with upstream(engine) as address:
        for _ in range(2):
            proxy = server.proxy("q", address)
            proxy.add("http_status", {"probability": 0.5})
            with proxy.http() as client:
                runs.append([client.fetch(get("/json")).status for _ in range(30)])
            server.call("DELETE", proxy.path)
    assert runs[0] == runs[1]
    assert 5 <= runs[0].count(503) <= 25


def test_a_path_limits_it(proxy: Proxy) -> None:
    """Health checks through the same proxy stay well."""
    proxy.add("http_status", {"path": "/chunked"})
    with proxy.http() as client:
        assert [client.fetch(get(path)).status for path in ("/json", "/chunked", "/json")] == [200, 503, 200]


def test_pipelined_answers_keep_the_order_of_the_requests(proxy: Proxy) -> None:
    """Slow streams of the upstream with answers of the proxy before, between and behind them."""
    proxy.add("http_status", {"path": "/json"})
    paths = ["/json", "/slow", "/json", "/json", "/chunked", "/fixed", "/json"]
    with proxy.http() as client:
        client.peer.send(b"".join(get(path) for path in paths))
        answers = [client.read() for _ in paths]
    assert [answer.status for answer in answers] == [503 if path == "/json" else 200 for path in paths]
    assert [answer.body == STREAM for answer in answers] == [path != "/json" for path in paths]


def test_a_client_that_wants_the_connection_closed_gets_that(proxy: Proxy) -> None:
    """So does one that waits for permission to send its body."""
    proxy.add("http_status")
    for request in (
        get("/json", "connection: close"),
        post("/json", b"", "expect: 100-continue").replace(b"length: 0", b"length: 9"),
    ):
        with proxy.connect() as peer:
            peer.send(request)
            data, ending = peer.receive_all()
            assert data.startswith(b"HTTP/1.1 503 ") and b"connection: close" in data
            assert ending == "fin"


def test_its_answer_passes_the_toxics_of_the_way_down(proxy: Proxy) -> None:
    """As if it had come from the upstream."""
    proxy.add("http_status")
    proxy.add("latency", {"latency": 60})
    proxy.add("delay_headers", {"delay": 50})
    answer = proxy.fetch("/json")
    assert answer.status == 503
    assert answer.t_head_s >= 0.109


@pytest.mark.parametrize("attributes", [{"status": 99}, {"probability": 2}, {"retry_after": -1}, {"status": "503"}])
def test_attributes_that_cannot_be_are_400(proxy: Proxy, attributes: dict[str, Any]) -> None:
    """A status, a share or a time out of range, and a status that is no number."""
    body = {"type": "http_status", "attributes": attributes}
    assert proxy.server.call("POST", f"{proxy.path}/toxics", body)[0] == 400


def test_http_status_needs_no_living_upstream_to_answer_on_a_live_connection(proxy: Proxy, engine: Engine) -> None:
    """A new connection to a dead upstream is refused all the same: the proxy does not invent a server."""
    proxy.add("http_status")
    proxy.server.call("PATCH", proxy.path, {"upstream": dead_address()})
    try:
        with proxy.http() as client:
            assert client.fetch(get("/json")).ending == "rst"
    except ConnectionResetError:
        pass  # The reset was there before connect() or send() returned.
