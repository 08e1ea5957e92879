"""No body and no path makes the control API answer 500, hang, or end; bounded, so that it can run every time.

pytest tests/toxiproxy/test_toxi_fuzz.py --hypothesis-profile=thorough     10,000 sequences of calls
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toxi_server import Server

from servedrill.toxiproxy import toxics
from servedrill.toxiproxy.toxic import REGISTRY

assert toxics
EXAMPLES = max(150, settings.default.max_examples)

names = st.one_of(st.sampled_from(["a", "b", "latency_downstream", "", "ü/ %"]), st.text(max_size=8))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
)
FIELDS = sorted({field for cls in REGISTRY.values() for field in cls.__dataclass_fields__})  # type: ignore[attr-defined]
attributes = st.dictionaries(
    st.sampled_from(FIELDS),
    st.one_of(st.integers(-5, 10_000), st.booleans(), st.floats(0, 10), json_values),
    max_size=4,
)
toxic = st.fixed_dictionaries(
    {},
    optional={
        "type": st.one_of(st.sampled_from(sorted(REGISTRY)), json_values),
        "name": st.one_of(names, json_values),
        "stream": st.one_of(st.sampled_from(["upstream", "DownStream"]), json_values),
        "toxicity": st.one_of(st.floats(0, 1), json_values),
        "attributes": st.one_of(attributes, json_values),
        "ttl": st.one_of(st.floats(5, 1e300), json_values),
    },
)
proxy = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(names, json_values),
        "upstream": st.one_of(st.just("127.0.0.1:1"), json_values),
        "listen": st.just("127.0.0.1:0"),  # Anything else may be a listen error, which is a 500 by contract.
        "enabled": st.one_of(st.booleans(), json_values),
        "tap": st.one_of(st.booleans(), json_values),
        "ttl": st.one_of(st.floats(5, 1e300), json_values),
        "toxics": st.one_of(st.lists(toxic, max_size=3), json_values),
    },
)
bodies = st.one_of(toxic, proxy, st.lists(proxy, max_size=3), json_values).map(
    lambda body: json.dumps(body).encode("utf-8", "surrogatepass")
) | st.binary(max_size=40)
paths = st.sampled_from(
    [
        "/proxies",
        "/populate",
        "/proxies/a",
        "/proxies/a/toxics",
        "/proxies/a/toxics/latency_downstream",
        "/reset",
        "/toxics",
        "/proxies/a/stats",
        "/proxies/a/exchanges?since=-1",
        "/proxies/a/exchanges",
        "/proxies/%ff%00/toxics",
        "/proxies/a/toxics/latency_downstream/evidence",
        "/%",
        "/proxies/a?x=%zz",
    ]
)


@pytest.fixture(scope="module")
def connection(server_process: Server) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server_process.port, timeout=10)
    yield connection
    connection.close()
    server_process.clear()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(calls=st.lists(st.tuples(st.sampled_from(["GET", "POST", "PATCH", "DELETE"]), paths, bodies), max_size=6))
def test_no_sequence_of_calls_gets_a_500(connection: http.client.HTTPConnection, calls: list[Any]) -> None:
    """Whatever is sent, the answer is one of those that the API knows."""
    for method, path, body in [("POST", "/proxies", b'{"name":"a","upstream":"127.0.0.1:1"}'), *calls]:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 201, 204, 400, 404, 405, 409), (method, path, body, text)
        if answer.status not in (204, 405) and not text.startswith(b"404"):
            json.loads(text)
