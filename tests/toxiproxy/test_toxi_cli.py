"""The command: how it starts, what it says, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from toxi_peers import Stopwatch
from toxi_server import Server
from toxi_upstreams import sending, upstream

from servedrill.host.clock import wait_for

COMMAND = [sys.executable, "-m", "servedrill.toxiproxy"]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=300, check=False)


def test_it_loads_proxies_and_toxics_from_a_file_and_stops_when_told(tmp_path: Path, echo: str) -> None:
    """SIGTERM is a regular end; what it listens on and its seed are on stderr."""
    config = tmp_path / "config.json"
    toxics = [{"type": "latency", "attributes": {"latency": 5}}]
    config.write_text(json.dumps([{"name": "p", "upstream": echo, "toxics": toxics}]))
    server = Server(tmp_path, "--config", str(config), "--seed", "5")
    assert server.get("/proxies")["p"]["toxics"][0]["attributes"]["latency"] == 5
    assert server.call("GET", "/metrics")[0] == 404
    assert server.stop() == 0
    assert server.log.read_text() == (
        f"toxiproxy: control API on 127.0.0.1:{server.port} (this machine only), seed 5\n"
    )


def test_it_stops_at_once_with_connections_that_do_not_read(tmp_path: Path) -> None:
    """Neither a full buffer nor a black hole keeps the process."""
    server = Server(tmp_path)
    with upstream(sending(b"x" * 30_000_000)) as address:
        proxy, hole = server.proxy("p", address), server.proxy("q", address)
        hole.add("timeout", {"timeout": 0})
        with proxy.connect(), hole.connect():
            wait_for(lambda: proxy.stats()["bytes_down"] > 1_000_000, what="a full buffer", within_s=30)
            watch = Stopwatch()
            assert server.stop() == 0
            assert watch.s < 3


def test_a_taken_port_is_one_clear_line_and_exit_4() -> None:
    """With what to do next."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("--port", port)
    assert ended.returncode == 4
    assert ended.stderr == (
        f"toxiproxy: listen tcp 127.0.0.1:{port}: bind: address already in use; "
        "hint: choose another --port, or 0 for a free one\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting"),
        ("{}", "cannot unmarshal object"),
        ('[{"name":"a"}]', "missing required field: upstream at proxy 1"),
        ('[{"name":"a","upstream":"b:1","toxics":[{"type":"x"}]}]', "invalid toxic type at proxy 1"),
        ('[{"name":"a","upstream":"b:1","listen":"x"}]', "listen tcp"),
        (None, "No such file"),
    ],
)
def test_a_bad_config_is_one_clear_line_and_exit_4(tmp_path: Path, text: str | None, said: str) -> None:
    """It names the file."""
    config = tmp_path / "config.json"
    if text is not None:
        config.write_text(text)
    ended = run("--port", "0", "--config", str(config))
    assert (ended.returncode, ended.stderr.count("\n")) == (4, 1)
    assert str(config) in ended.stderr and said in ended.stderr


@pytest.mark.parametrize("given", [["--colour"], ["--port", "x"], ["--port", "70000"], ["--seed", str(1 << 63)]])
def test_a_wrong_option_is_one_line_and_exit_4(given: list[str]) -> None:
    """As everywhere in servedrill."""
    ended = run(*given)
    assert ended.returncode == 4
    assert ended.stderr.count("\n") == 1 and given[-1][:20] in ended.stderr


def test_an_open_address_is_announced(tmp_path: Path, echo: str) -> None:
    """Loopback unless told otherwise, and then it says so."""
    server = Server(tmp_path, "--host", "0.0.0.0")
    server.proxy("p", echo, listen="0.0.0.0:0")
    server.proxy("q", echo, listen=":0")
    assert server.get("/proxies/q")["listen"].startswith("127.0.0.1:")
    assert server.stop() == 0
    first, second = server.log.read_text().splitlines()
    assert "EVERY MACHINE" in first
    assert "proxy p listens on 0.0.0.0" in second


def test_it_says_the_version_that_a_client_asks_for(tmp_path: Path) -> None:
    """Some clients choose their calls by it, and the original's own tests expect ``git``."""
    server = Server(tmp_path, "--api-version", "git")
    assert server.get("/version") == {"version": "git"}
    assert server.stop() == 0


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """Even when the parent is killed: no proxy outlives the drill that made it."""
    port_file = tmp_path / "port"
    command = [*COMMAND, "--port", "0", "--port-file", str(port_file), "--die-with-parent"]
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; sys.exit(subprocess.call({command!r}))"],
        stderr=subprocess.DEVNULL,
    )
    wait_for(port_file.exists, what="port file", within_s=30)
    port = int(port_file.read_text())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return True
        return False

    wait_for(refused, what="control port closed", within_s=30)
