"""One server process for all of the proxy's tests: each test makes its own proxies in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from toxi_server import Proxy, Server
from toxi_upstreams import Engine, answering_at_the_end, echoing, upstream

from servedrill.toxiproxy import toxics
from servedrill.toxiproxy.toxic import REGISTRY

assert toxics
settings.register_profile("thorough", max_examples=10_000)
"""For `pytest tests/toxiproxy/test_toxi_fuzz.py --hypothesis-profile=thorough`: minutes, not a second."""

HARMLESS: dict[str, dict[str, Any]] = {
    "http_status": {"probability": 0},
    "delay_headers": {"delay": 1},
    "delay_first_token": {"delay": 1},
    "stall_stream": {"after_events": 2, "duration": 1},
    "cut_stream": {"after_events": 99},
    "drop_done": {},
    "drop_event": {"nth": 2},
    "repeat_event": {"nth": 2},
    "corrupt_event": {"nth": 2},
    "error_event": {"after_events": 2},
    "swap_model": {"model": "m2"},
    "token_rate": {"tokens_per_s": 500},
    "idle_close": {"idle_ms": 60_000},
}
"""Attributes of each toxic that knows HTTP under which a plain answer passes unchanged."""


@pytest.fixture(scope="session")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("toxiproxy"), "--seed", "42", "--metrics", "--die-with-parent")
    yield server
    assert server.stop() == 0
    noise = [line for line in server.log.read_text().splitlines() if not line.startswith("toxiproxy: ")]
    assert noise == []


@pytest.fixture
def server(server_process: Server) -> Iterator[Server]:
    yield server_process
    server_process.clear()


@pytest.fixture(scope="session")
def echo() -> Iterator[str]:
    with upstream(echoing) as address:
        yield address


@pytest.fixture(scope="session")
def late_answer() -> Iterator[str]:
    with upstream(answering_at_the_end) as address:
        yield address


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def proxy(server: Server, engine: Engine) -> Iterator[Proxy]:
    """A proxy in front of an engine."""
    with upstream(engine) as address:
        yield server.proxy("p", address)


@pytest.fixture(params=[name for name, cls in REGISTRY.items() if hasattr(cls, "knows_http")])
def stream_toxic(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Type and harmless attributes of each toxic that knows HTTP; a new one has to name some."""
    return request.param, HARMLESS[request.param]
