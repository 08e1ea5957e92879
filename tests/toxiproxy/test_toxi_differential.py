"""The same calls to the original server and to ours get the same answers; needs a `toxiproxy-server`."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from toxi_peers import Peer, Stopwatch
from toxi_server import Server
from toxi_upstreams import dead_address, upstream

from servedrill.host.clock import wait_for
from servedrill.toxiproxy.addresses import split_host_port

PROGRAM = shutil.which(os.environ.get("SERVEDRILL_TOXIPROXY_SERVER", "toxiproxy-server"))
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no toxiproxy-server on PATH or in SERVEDRILL_TOXIPROXY_SERVER")

UPSTREAM = "127.0.0.1:9"
A = {"name": "a", "upstream": UPSTREAM, "listen": "127.0.0.1:0"}
CALLS: list[tuple[str, str, Any]] = [
    ("GET", "/proxies", None),
    ("POST", "/proxies", {}),
    ("POST", "/proxies", {"name": "a"}),
    ("POST", "/proxies", b""),
    ("POST", "/proxies", b"[1]"),
    ("POST", "/proxies", {"name": 1, "upstream": UPSTREAM}),
    ("POST", "/proxies", {"name": "x", "upstream": UPSTREAM, "listen": "local373"}),
    ("POST", "/proxies", {"name": "x", "upstream": UPSTREAM, "listen": "127.0.0.1:99999"}),
    ("POST", "/proxies", A),
    ("POST", "/proxies", A),
    ("GET", "/proxies/a", None),
    ("GET", "/proxies/a/", None),
    ("PUT", "/proxies/a", {}),
    ("GET", "/nothing", None),
    ("PATCH", "/proxies/a", {"ENABLED": False}),
    ("PATCH", "/proxies/a", {"enabled": 3}),
    ("PATCH", "/proxies/a", {"enabled": True, "name": "other", "unknown": 1}),
    ("PATCH", "/proxies/nothing", {}),
    ("GET", "/proxies/a/toxics", None),
    ("POST", "/proxies/a/toxics", {}),
    ("POST", "/proxies/a/toxics", {"type": "nothing"}),
    ("POST", "/proxies/a/toxics", {"type": "nothing", "stream": "x"}),
    ("POST", "/proxies/a/toxics", {"type": 1, "stream": "x"}),
    ("POST", "/proxies/a/toxics", {"type": "latency", "attributes": {"latency": 5}}),
    ("POST", "/proxies/a/toxics", {"type": "latency", "attributes": {"latency": "x"}}),
    ("POST", "/proxies/a/toxics", {"type": "latency", "name": "l", "attributes": {"latency": 1.5}}),
    ("POST", "/proxies/a/toxics", {"type": "latency", "name": "l", "attributes": None, "stream": "UPstream"}),
    ("POST", "/proxies/a/toxics", {"type": "noop", "stream": "UPstream", "toxicity": 0.5}),
    ("POST", "/proxies/a/toxics", {"type": "bandwidth", "attributes": {"RATE": 7, "x": 1}, "toxicity": "1"}),
    ("POST", "/proxies/a/toxics", {"type": "bandwidth", "attributes": {"RATE": 7, "x": 1}}),
    ("POST", "/proxies/a/toxics", {"type": "slow_close"}),
    ("POST", "/proxies/a/toxics", {"type": "timeout", "attributes": {"timeout": 1}}),
    ("POST", "/proxies/a/toxics", {"type": "reset_peer"}),
    ("POST", "/proxies/a/toxics", {"type": "slicer", "attributes": {"average_size": 10, "size_variation": 1}}),
    ("POST", "/proxies/a/toxics", {"type": "limit_data"}),
    ("GET", "/proxies/a/toxics", None),
    ("GET", "/proxies/a/toxics/l", None),
    ("GET", "/proxies/a/toxics/nothing", None),
    ("PATCH", "/proxies/a/toxics/l", {"attributes": {"jitter": 3}, "toxicity": 0.25, "name": "m", "stream": "x"}),
    ("POST", "/proxies/a/toxics/l", {"attributes": {"jitter": "x"}}),
    ("PATCH", "/proxies/a/toxics/l", {"attributes": None}),
    ("PATCH", "/proxies/a/toxics/nothing", {}),
    ("DELETE", "/proxies/a/toxics/l", None),
    ("DELETE", "/proxies/a/toxics/l", None),
    ("POST", "/populate", []),
    ("POST", "/populate", {}),
    ("POST", "/populate", [{"name": "b"}]),
    ("POST", "/populate", [A, {"upstream": UPSTREAM}]),
    ("POST", "/populate", [{**A, "name": "b", "enabled": False}, {**A, "name": "c", "listen": "x"}]),
    ("GET", "/proxies/b", None),
    ("POST", "/reset", None),
    ("GET", "/proxies/a", None),
    ("DELETE", "/proxies/a", None),
    ("DELETE", "/proxies/a", None),
]


@pytest.fixture(scope="module")
def original_port() -> Iterator[int]:
    _, port = split_host_port(dead_address())
    process = subprocess.Popen([str(PROGRAM), "-port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def up() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    try:
        wait_for(up, what="original server", within_s=30)
        yield port
    finally:
        process.terminate()
        process.wait()


def answer(port: int, method: str, path: str, body: Any) -> tuple[int, str, Any]:
    """Status, content type and body, without what must differ: ports, and the words of a decoding error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, body=data)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    text = re.sub(r"127\.0\.0\.1:(?!9\b)\d{4,5}", "127.0.0.1:N", text)
    text = re.sub(r"(bad request body: ).*?(\",\"status)", r"\1...\2", text)
    text = re.sub(r"(\"listen tcp[^\"]*?: ).*?(\",\"status)", r"\1...\2", text)
    kind = response.headers.get("Content-Type", "")
    try:
        parsed = json.loads(text)
        for thing in parsed.values() if isinstance(parsed, dict) else []:
            if isinstance(thing, dict):
                thing.pop("Logger", None)
        if isinstance(parsed, dict):
            parsed.pop("Logger", None)
            for item in parsed.get("proxies") or []:
                item.pop("Logger", None)
        return response.status, kind, parsed
    except ValueError:
        return response.status, kind, text


def test_every_answer_is_the_original_s(server: Server, original_port: int) -> None:
    """Status, content type and body, call by call."""
    for method, path, body in CALLS:
        theirs, ours = answer(original_port, method, path, body), answer(server.port, method, path, body)
        assert ours == theirs, f"{method} {path} {body}"


PROBES: list[tuple[str, dict[str, int]]] = [
    ("noop", {}),
    ("latency", {"latency": 80}),
    ("bandwidth", {"rate": 20}),
    ("slow_close", {"delay": 80}),
    ("timeout", {"timeout": 80}),
    ("reset_peer", {"timeout": 80}),
    ("slicer", {"average_size": 250, "delay": 10_000}),  # the original halves: 2,000 bytes are eight pieces with both
    ("limit_data", {"bytes": 700}),
    ("limit_data", {"bytes": 2000}),
]


def greeting_back(peer: Peer) -> None:
    """2,000 bytes for a request, then the end."""
    peer.receive(5)
    peer.send(b"x" * 2000)


@pytest.mark.parametrize(("type_name", "attributes"), PROBES)
def test_every_toxic_does_what_the_original_s_does(
    server: Server, original_port: int, type_name: str, attributes: dict[str, int]
) -> None:
    """As many bytes, the same ending and, at the best of three, the same time within 60 ms."""
    fastest_s = [math.inf, math.inf]
    with upstream(greeting_back) as address:
        for _ in range(3):
            seen = [passage(port, address, type_name, attributes) for port in (original_port, server.port)]
            assert seen[0][:2] == seen[1][:2]
            fastest_s = [min(best, one[2]) for best, one in zip(fastest_s, seen, strict=True)]
            if abs(fastest_s[0] - fastest_s[1]) < 0.06:
                return
    pytest.fail(f"{fastest_s[0]:.3f} s with the original, {fastest_s[1]:.3f} s with ours")


def passage(port: int, address: str, type_name: str, attributes: dict[str, int]) -> tuple[int, str, float]:
    """How many bytes of the answer come through the toxic, how it ends, and after how long."""
    proxy = {"name": "probe", "upstream": address, "listen": "127.0.0.1:0"}
    made = json.loads(raw(port, "POST", "/proxies", proxy))
    raw(port, "POST", "/proxies/probe/toxics", {"type": type_name, "attributes": attributes})
    with Peer(socket.create_connection(split_host_port(made["listen"]))) as peer:
        watch = Stopwatch()
        peer.send(b"hello")
        data, ending = peer.receive_all()
        took_s = watch.s
    raw(port, "DELETE", "/proxies/probe")
    return len(data), ending, took_s


def raw(port: int, method: str, path: str, body: Any = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body=None if body is None else json.dumps(body).encode())
    text = connection.getresponse().read()
    connection.close()
    return text
