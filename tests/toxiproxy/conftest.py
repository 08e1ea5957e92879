"""One server process for all of the proxy's tests: each test makes its own proxies in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from toxi_world import Server, answering_at_the_end, echoing, upstream

settings.register_profile("thorough", max_examples=10_000)
"""For `pytest tests/toxiproxy/test_toxi_fuzz.py --hypothesis-profile=thorough`: minutes, not a second."""


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
