"""Clients of the control API that do not get to an end: they are hung up on, and others are answered meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from servedrill.host.clock import wait_for
from tests.worlds.half_open import ASKED, CLIENTS, all_given_up

IMPATIENT = """
import asyncio, sys
from pathlib import Path
from servedrill.toxiproxy.server import Settings, serve
settings = Settings(host="127.0.0.1", port=0, config=None, seed=1, metrics=False, port_file=Path(sys.argv[1]),
                    patience_s=1.0, idle_s=1.0)
asyncio.run(serve(settings))
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    file = tmp_path_factory.mktemp("impatient") / "port"
    with subprocess.Popen([sys.executable, "-c", IMPATIENT, str(file)], stderr=subprocess.DEVNULL) as process:
        wait_for(file.exists, what="the fault proxy", within_s=60)
        yield int(Path(file).read_text())
        process.kill()


def test_half_a_request_is_given_up(port: int) -> None:
    """Whatever a client does not send; who asks properly meanwhile is answered."""
    for name, said in all_given_up(port).items():
        if "body" in name:
            assert said.startswith(b"HTTP/1.1 400 "), name
            assert b"it was not here after 1 s" in said
        else:
            assert said.startswith(b"HTTP/1.1 200 ") if CLIENTS[name][0] == ASKED else said == b"", name
