"""An engine that the tests of a file share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ref_engine import Server, engine


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An engine that answers in no time."""
    with engine(tmp_path_factory.mktemp("quick")) as server:
        yield server
        server.wait_quiet()
        assert "Traceback" not in server.log.read_text()
