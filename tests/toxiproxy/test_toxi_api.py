"""The control API: routes, statuses, bodies, and the order in which a body is judged."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from toxi_server import Server

from servedrill.toxiproxy import toxics
from servedrill.toxiproxy.toxic import REGISTRY

assert toxics

ERRORS = {
    "proxy": (404, {"error": "proxy not found", "status": 404}),
    "toxic": (404, {"error": "toxic not found", "status": 404}),
    "stream": (400, {"error": "stream was invalid, can be either upstream or downstream", "status": 400}),
    "type": (400, {"error": "invalid toxic type", "status": 400}),
    "toxic exists": (409, {"error": "toxic already exists", "status": 409}),
    "proxy exists": (409, {"error": "proxy already exists", "status": 409}),
    "name": (400, {"error": "missing required field: name", "status": 400}),
    "upstream": (400, {"error": "missing required field: upstream", "status": 400}),
}


def test_version_has_the_exact_body_that_clients_parse(server: Server) -> None:
    """The version is a release that clients take for one that understands PATCH."""
    status, headers, body = server.raw("GET", "/version")
    assert (status, body) == (200, b'{"version": "2.12.0"}\n')
    assert headers["Content-Type"] == "application/json;charset=utf-8"
    assert headers["X-Toxiproxy-Request-Id"]


def test_the_toxics_that_it_knows_can_be_asked_for(server: Server) -> None:
    """All of them with their attributes' defaults: how a client tells this server from the original."""
    known = server.get("/toxics")
    assert sorted(known) == sorted(REGISTRY)
    assert known["cut_stream"] == {"attributes": {"after_events": 0, "after_bytes": 0, "reset": False}}
    assert server.call("POST", "/toxics", {})[0] == 405


def test_an_error_is_plain_text_with_a_newline(server: Server) -> None:
    """Errors look like those of the original down to the content type."""
    status, headers, body = server.raw("GET", "/proxies/none")
    assert (status, body) == (404, b'{"error":"proxy not found","status":404}\n')
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_browser_is_refused(server: Server) -> None:
    """A web page cannot drive the proxy through somebody's browser."""
    assert server.raw("GET", "/proxies", **{"User-Agent": "Mozilla/5.0 (X11)"})[::2] == (
        403,
        b"User agent not allowed\n",
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null", "Content-Type": "text/plain"},
        {"Host": "evil.example"},
        {"Host": "evil.example:8474"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
def test_a_page_is_told_by_more_than_its_user_agent(server: Server, headers: dict[str, str]) -> None:
    """A page's own code chooses its User-Agent, and DNS may lead a name of its own here; it cannot hide either."""
    assert server.raw("GET", "/proxies", **headers)[0] == 403
    assert server.raw("POST", "/reset", **headers)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8474", "[::1]:8474"])
def test_clients_of_this_machine_need_no_secret(server: Server, host: str) -> None:
    """As with the original."""
    assert server.raw("POST", "/reset", Host=host)[0] == 204


@pytest.mark.parametrize("path", ["/", "/x", "/proxies/", "/proxies/a/b", "/proxies/a/toxics/", "/reset/", "//proxies"])
def test_an_unknown_path_is_404(server: Server, path: str) -> None:
    """A trailing slash is another path."""
    assert server.raw("GET", path)[::2] == (404, b"404 page not found\n")


@pytest.mark.parametrize("call", ["PUT /proxies", "GET /reset", "GET /populate", "PUT /proxies/a", "POST /version"])
def test_a_wrong_method_is_405_without_a_body(server: Server, call: str) -> None:
    """The method is judged before the proxy is looked for."""
    assert server.raw(*call.split(" "))[::2] == (405, b"")


def test_a_proxy_is_created_shown_listed_and_deleted(server: Server, echo: str) -> None:
    """The port that was taken is in the answer, and the keys come in the original's order."""
    status, made = server.call("POST", "/proxies", {"name": "a", "upstream": echo, "listen": "localhost:0"})
    assert status == 201
    assert list(made) == ["name", "listen", "upstream", "enabled", "toxics"]
    assert made["listen"].startswith("127.0.0.1:") and not made["listen"].endswith(":0")
    assert (made["name"], made["upstream"], made["enabled"], made["toxics"]) == ("a", echo, True, [])
    assert server.get("/proxies/a") == made
    assert server.get("/proxies") == {"a": made}
    assert server.raw("DELETE", "/proxies/a")[::2] == (204, b"")
    assert server.call("DELETE", "/proxies/a") == ERRORS["proxy"]


def test_creating_checks_json_name_upstream_and_duplicates_in_this_order(server: Server, echo: str) -> None:
    """Each error hides the later ones."""
    assert server.call("POST", "/proxies", {}) == ERRORS["name"]
    assert server.call("POST", "/proxies", {"name": "a"}) == ERRORS["upstream"]
    server.proxy("a", echo)
    assert server.call("POST", "/proxies", {"name": "a", "upstream": "x:1"}) == ERRORS["proxy exists"]
    assert server.call("POST", "/proxies", {"name": 1, "upstream": "x:1"})[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b'"a"',
        b'{"name":1}',
        b'{"name":"a","upstream":"b:1","enabled":"yes"}',
        b"{" * 5000,
        b'{"name":"a","upstream":"b:1","ttl":-1}',
        b'{"name":"a","upstream":"b:1","ttl":NaN}',
    ],
)
def test_a_body_that_is_no_proxy_is_400(server: Server, body: bytes) -> None:
    """Nothing that a body says brings the server down or makes it answer 500."""
    status, _, raw = server.raw("POST", "/proxies", body)
    assert status == 400
    assert json.loads(raw)["error"].startswith("bad request body: ")


def test_keys_are_case_insensitive_unknown_ones_ignored_and_the_rest_not_read(server: Server, echo: str) -> None:
    """Bodies are read as Go's decoder reads them."""
    body = json.dumps({"NAME": "a", "Upstream": echo, "Enabled": None, "colour": "red"}).encode() + b" trailing"
    assert server.raw("POST", "/proxies", body)[0] == 201
    assert server.get("/proxies/a")["enabled"] is True


def test_a_taken_port_is_500_with_the_listen_error(server: Server, echo: str) -> None:
    """Clients match this text."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        answer = server.call("POST", "/proxies", {"name": "a", "listen": listen, "upstream": echo})
    assert answer == (500, {"error": f"listen tcp {listen}: bind: address already in use", "status": 500})
    assert server.get("/proxies") == {}


@pytest.mark.parametrize("listen", ["local373", "127.0.0.1:99999", "127.0.0.1:x", "a:b:1", "no.such.host.invalid:0"])
def test_an_address_that_cannot_be_is_a_listen_error(server: Server, echo: str, listen: str) -> None:
    """The original answers 500 here, and so do we; nothing is created."""
    status, body = server.call("POST", "/proxies", {"name": "a", "listen": listen, "upstream": echo})
    assert status == 500
    assert body["error"].startswith("listen tcp")


def test_a_disabled_proxy_keeps_the_address_as_it_was_sent(server: Server, echo: str) -> None:
    """Port 0 is resolved only when the proxy listens, and stays resolved from then on."""
    body = {"name": "a", "upstream": echo, "listen": "localhost:0", "enabled": False}
    assert server.call("POST", "/proxies", body)[1]["listen"] == "localhost:0"
    listen = server.call("PATCH", "/proxies/a", {"enabled": True})[1]["listen"]
    assert listen != "localhost:0"
    assert server.call("PATCH", "/proxies/a", {"enabled": False})[1]["listen"] == listen
    assert server.call("POST", "/proxies/a", {"enabled": True})[1]["listen"] == listen


def test_updating_a_proxy_merges_and_never_renames(server: Server, echo: str) -> None:
    """Toxics in an update are not looked at: clients send back what they were shown."""
    server.proxy("a", echo)
    status, body = server.call(
        "PATCH", "/proxies/a", {"upstream": "127.0.0.1:1", "name": "b", "toxics": [{"type": "noop"}]}
    )
    assert status == 200
    assert (body["name"], body["upstream"], body["toxics"], body["enabled"]) == ("a", "127.0.0.1:1", [], True)
    assert server.call("PATCH", "/proxies/none", {}) == ERRORS["proxy"]
    assert server.raw("PATCH", "/proxies/a", b"{")[0] == 400


def test_a_toxic_is_created_shown_listed_updated_and_deleted(server: Server, echo: str) -> None:
    """An update merges attributes and toxicity and nothing else."""
    server.proxy("a", echo)
    status, made = server.call("POST", "/proxies/a/toxics", {"type": "latency", "attributes": {"latency": 5}})
    assert status == 200
    assert made == {
        "attributes": {"latency": 5, "jitter": 0},
        "name": "latency_downstream",
        "type": "latency",
        "stream": "downstream",
        "toxicity": 1,
    }
    path = "/proxies/a/toxics/latency_downstream"
    assert server.get(path) == made
    change = {"attributes": {"JITTER": 2}, "toxicity": 0.5, "name": "x", "stream": "upstream", "type": "noop"}
    assert server.call("POST", path, change) == (
        200,
        {**made, "attributes": {"latency": 5, "jitter": 2}, "toxicity": 0.5},
    )
    assert server.get("/proxies/a")["toxics"] == server.get("/proxies/a/toxics") == [server.get(path)]
    assert server.raw("DELETE", path)[::2] == (204, b"")
    for method in ("GET", "PATCH", "DELETE"):
        assert server.call(method, path, {}) == ERRORS["toxic"]


def test_a_toxic_is_judged_by_json_stream_type_duplicate_attributes(server: Server, echo: str) -> None:
    """Each error hides the later ones."""
    server.proxy("a", echo)
    path = "/proxies/a/toxics"
    assert server.call("POST", "/proxies/none/toxics", {}) == ERRORS["proxy"]
    assert server.call("POST", path, {"stream": "x", "type": 1})[1]["error"].startswith("bad request body: ")
    assert server.call("POST", path, {"stream": "x", "type": "x"}) == ERRORS["stream"]
    assert server.call("POST", path, {"type": "x"}) == ERRORS["type"]
    server.call("POST", path, {"type": "noop", "name": "n", "stream": "upstream"})
    bad = {"type": "latency", "name": "n", "attributes": {"latency": "x"}}
    assert server.call("POST", path, bad) == ERRORS["toxic exists"]
    assert server.call("POST", path, {**bad, "name": "m"})[1]["error"].startswith("bad request body: ")
    assert [toxic["name"] for toxic in server.get(path)] == ["n"]


@pytest.mark.parametrize(
    ("type_name", "attributes"),
    [
        ("latency", {"latency": 1.5}),
        ("latency", {"latency": 1.0}),
        ("latency", {"latency": True}),
        ("latency", {"latency": "1"}),
        ("latency", {"latency": 2**63}),
        ("latency", [1]),
        ("bandwidth", {"rate": -1}),
        ("slicer", {}),
        ("slicer", {"average_size": 0}),
        ("slicer", {"average_size": 10, "size_variation": -1}),
    ],
)
def test_attributes_that_cannot_be_are_400(server: Server, echo: str, type_name: str, attributes: Any) -> None:
    """Among them those that crash the original server."""
    server.proxy("a", echo)
    assert server.call("POST", "/proxies/a/toxics", {"type": type_name, "attributes": attributes})[0] == 400
    assert server.get("/proxies/a/toxics") == []


def test_stream_is_case_insensitive_and_echoed_as_sent(server: Server, echo: str) -> None:
    """The default name is built from the stream as it was sent; null attributes mean the defaults."""
    server.proxy("a", echo)
    status, body = server.call("POST", "/proxies/a/toxics", {"type": "noop", "stream": "UpStream", "attributes": None})
    assert (status, body["stream"], body["name"], body["attributes"]) == (200, "UpStream", "noop_UpStream", {})


def test_toxics_are_listed_upstream_first_then_in_chain_order(server: Server, echo: str) -> None:
    """The order of the list is the order in which data meets them."""
    server.proxy("a", echo)
    for name, stream in (("d1", "downstream"), ("u1", "upstream"), ("d2", "downstream"), ("u2", "upstream")):
        server.call("POST", "/proxies/a/toxics", {"type": "noop", "name": name, "stream": stream})
    assert [toxic["name"] for toxic in server.get("/proxies/a/toxics")] == ["u1", "u2", "d1", "d2"]


def test_populate_creates_keeps_and_replaces(server: Server, echo: str) -> None:
    """A proxy is replaced only where listen or upstream differ, so its toxics survive an equal populate."""
    assert server.call("POST", "/populate", []) == (201, {"proxies": None})
    a = server.proxy("a", echo)
    a.add("latency")
    same = {"name": "a", "listen": a.listen.replace("127.0.0.1", "localhost"), "upstream": echo}
    status, body = server.call("POST", "/populate", [same, {"name": "b", "upstream": echo, "enabled": False}])
    assert status == 201
    assert [(proxy["name"], proxy["enabled"], len(proxy["toxics"])) for proxy in body["proxies"]] == [
        ("a", True, 1),
        ("b", False, 0),
    ]
    body = server.call("POST", "/populate", [{**same, "upstream": "127.0.0.1:1"}])[1]
    assert body["proxies"][0]["toxics"] == []


def test_populate_creates_nothing_where_a_field_is_missing(server: Server, echo: str) -> None:
    """The proxy at fault is counted from 1."""
    good = {"name": "a", "upstream": echo}
    status, headers, raw = server.raw("POST", "/populate", json.dumps([good, {"name": ""}]).encode())
    assert (status, headers["Content-Type"]) == (400, "application/json")
    expected = {"error": "missing required field: name at proxy 2", "status": 400, "proxies": None}
    assert json.loads(raw) == expected
    assert server.call("POST", "/populate", [good, {"name": "b"}])[1]["error"].endswith("upstream at proxy 2")
    bad_toxic = {"name": "b", "upstream": echo, "toxics": [{"type": "x"}]}
    assert server.call("POST", "/populate", [good, bad_toxic])[1]["error"] == "invalid toxic type at proxy 2"
    assert server.call("POST", "/populate", {})[0] == 400
    assert server.get("/proxies") == {}


def test_populate_stops_at_the_first_that_cannot_listen(server: Server, echo: str) -> None:
    """The answer lists those that were made before."""
    items = [{"name": name, "upstream": echo, "listen": listen} for name, listen in (("a", ""), ("b", "x"), ("c", ""))]
    status, body = server.call("POST", "/populate", items)
    assert (status, [proxy["name"] for proxy in body["proxies"]]) == (500, ["a"])
    assert list(server.get("/proxies")) == ["a"]


def test_reset_enables_all_proxies_and_removes_all_toxics(server: Server, echo: str) -> None:
    """The one call that heals everything."""
    proxy = server.proxy("a", echo)
    proxy.add("latency", {"latency": 60_000})
    server.call("PATCH", "/proxies/a", {"enabled": False})
    assert server.raw("POST", "/reset")[::2] == (204, b"")
    assert server.get("/proxies/a")["enabled"] is True
    assert server.get("/proxies/a/toxics") == []


def test_names_may_hold_anything_that_a_path_can_quote(server: Server, echo: str) -> None:
    """A slash, a space or an umlaut in a name does not make a proxy unreachable."""
    assert server.call("POST", "/proxies", {"name": "a/b ü", "upstream": echo})[0] == 201
    assert server.get("/proxies/a%2Fb%20%C3%BC")["name"] == "a/b ü"
    assert server.call("DELETE", "/proxies/a%2Fb%20%C3%BC")[0] == 204


def test_metrics_count_bytes_by_direction(server: Server, echo: str) -> None:
    """Counters of a removed proxy stay: a counter never goes backwards."""
    proxy = server.proxy("counted", echo)
    with proxy.connect() as peer:
        peer.send(b"12345")
        assert peer.receive(5) == b"12345"
    proxy.quiet()
    server.call("DELETE", "/proxies/counted")
    text = server.raw("GET", "/metrics")[2].decode()
    for name in ("received", "sent"):
        for direction in ("upstream", "downstream"):
            labels = f'direction="{direction}",proxy="counted",listener="{proxy.listen}",upstream="{echo}"'
            assert f"toxiproxy_proxy_{name}_bytes_total{{{labels}}} 5\n" in text
