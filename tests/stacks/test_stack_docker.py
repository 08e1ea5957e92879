"""A stack of containers on a real Docker Engine: it comes up, can be broken, and leaves nothing behind; what is
wrong is said in one line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from stack_world import Remembering

from servedrill.errors import StackError, UsageError
from servedrill.faults.container import ContainerPause, NetworkCut
from servedrill.faults.fault import Fault
from servedrill.host.addresses import split_host_port
from servedrill.host.clock import wait_for
from servedrill.host.processes import ProcessId
from servedrill.leases.undo import RemoveContainers
from servedrill.stacks.docker import DockerWiring
from servedrill.stacks.lifecycle import stack_up
from servedrill.stacks.protocols import Containerised
from servedrill.stacks.reading import read_stack_file

SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """A client of the engine of this machine."""
    if not Path(SOCKET).exists():  # docker-py would leave its own end open, for whatever test runs later to be blamed
        pytest.skip(f"no Docker Engine here: no {SOCKET}")
    try:
        client = docker.DockerClient(base_url=f"unix://{SOCKET}")
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker Engine here: {error}")
    with contextlib.closing(client):
        yield client


STACK = """
kind = "docker"
name = "toys"
[promises]
model = "chat-model"
version = "v1"
[[file]]
path = "refstack.json"
text = '''{"engines": [{"name": "engine", "host": "0.0.0.0", "port": {port:engine}}], "gateways": [],
  "control_port": 0, "alerts_port": 0, "dns_port": 0, "alias": "chat-model", "serves": "chat-model",
  "models": [{"version": "chat-model"}], "log_dir": "/tmp"}'''
[[container]]
name = "engine"
role = "engine"
core = "refstack"
image = "servedrill"
memory = "1g"
command = ["python", "-m", "servedrill.refstack", "--config", "/stack/refstack.json", "engine", "{name}"]
mounts = ["{folder}/refstack.json:/stack/refstack.json:ro"]
restart = { policy = "always", backoff_s = 0.1 }
"""


@contextlib.contextmanager
def running(folder: Path, text: str = STACK) -> Iterator[Any]:
    path = folder / "toys.toml"
    path.write_text(text)
    undo = Remembering("process", "memory-group", "containers")
    file = read_stack_file(path)
    with stack_up(file, folder, on_undo=undo, defects=[], seed=1, limit_memory=True) as stack:
        stack.undo = undo
        yield stack


def left(engine: Any) -> list[str]:
    """Names of what drills made and did not remove."""
    mine = {"label": "servedrill.run"}
    containers = engine.containers.list(all=True, filters=mine, ignore_removed=True)
    return [one.name for one in (*containers, *engine.networks.list(filters=mine))]


def health(stack: Any) -> int | None:
    try:
        return httpx.get(f"{stack.replicas()[0].url}/health", timeout=0.5).status_code
    except httpx.HTTPError:
        return None


def test_it_is_broken_and_healed_and_leaves_nothing(engine: Any, tmp_path: Path) -> None:
    """A cut network and a freeze each silence it and are undone; a killed container is another one afterwards; in
    the end nothing is left."""
    with running(tmp_path) as stack:
        assert isinstance(stack, Containerised)
        assert stack.undo.labels
        assert engine.containers.get(stack.container("engine")).attrs["HostConfig"]["Memory"] == 1 << 30
        faults: list[Fault] = [NetworkCut(stack, "engine"), ContainerPause(stack, "engine")]
        for fault in faults:
            assert fault.undo()
            fault.inject()
            assert fault.evidence().proven, fault.evidence().observed
            assert health(stack) is None
            assert fault.heal().proven
            wait_for(lambda: health(stack) == 200, what="the engine to answer again", within_s=30)
        first = stack.process("engine")
        assert isinstance(first, ProcessId)
        core = stack.process("engine", "core")
        assert core is not None and core != first
        stack.signal("engine", signal.SIGKILL)
        wait_for(lambda: stack.starts("engine") == 2 and health(stack) == 200, what="its successor", within_s=30)
        assert stack.process("engine") != first
        assert "SIGKILL" in stack.processes()[0]["last_exit"]
        stack.restart("engine")
        wait_for(lambda: stack.starts("engine") == 3 and health(stack) == 200, what="the next one", within_s=30)
        assert stack.processes()[0]["last_exit"] == "exit status 0"
    assert left(engine) == []


def test_what_a_crash_leaves_is_removed_by_its_label(engine: Any, tmp_path: Path) -> None:
    """The watchdog's record of a run needs nothing but the engine's socket."""
    network = engine.networks.create("servedrill-test-left", labels={"servedrill.run": "left"})
    kept = engine.networks.create("servedrill-test-kept", labels={"servedrill.run": "kept"})
    try:
        RemoveContainers(socket=SOCKET, label="servedrill.run=left").carry_out()
        assert left(engine) == ["servedrill-test-kept"]
        RemoveContainers(socket=SOCKET, label="servedrill.run=left").carry_out()
    finally:
        kept.remove()
    with pytest.raises(docker.errors.NotFound):
        network.reload()


def test_kill_9_of_pytest_leaves_no_container(engine: Any, tmp_path: Path) -> None:
    """Within seconds no container and no network of the run is there."""
    drill = [
        "drills/test_5_cancel_storm.py",
        "--drill-stack",
        "fixtures/data/stacks/docker.toml",
        "--drill-runs",
        str(tmp_path),
    ]
    command = [sys.executable, "-m", "pytest", *drill]
    pytest_process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(left(engine)) >= 4, what="containers of the drill", within_s=60)
    finally:
        pytest_process.kill()
        pytest_process.wait()
    wait_for(lambda: left(engine) == [], what="everything to be removed", within_s=30)


def test_a_container_that_was_there_is_neither_made_nor_removed(engine: Any, tmp_path: Path) -> None:
    """It is chosen by its label, restarted by command, and runs on afterwards."""
    with running(tmp_path) as stack:  # one stack's container is the other's find
        port = stack.replicas()[0].url.rpartition(":")[2]
        found = engine.containers.get(stack.container("engine"))
        text = STACK.partition("[[file]]")[0] + json_free(
            port, f"label=servedrill.run={found.labels['servedrill.run']}"
        )
        folder = tmp_path / "second"
        folder.mkdir()
        with running(folder, text) as second:
            assert second.container("engine") == found.id
            assert second.network("engine") == stack.network("engine")
            assert second.process("engine") == stack.process("engine")
        found.reload()
        assert found.status == "running"


def json_free(port: str, label: str) -> str:
    return f'[[container]]\nname = "engine"\nrole = "engine"\nexisting = "{label}"\nport = {port}\n'


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('image = "servedrill"', 'image = "nobody/has-it:1"', "no image 'nobody/has-it:1' on this machine"),
        ('image = "servedrill"', 'build = "nowhere"', "no folder "),
        ('image = "servedrill"', 'existing = "nobody"\nport = 18999', "0 containers for 'nobody'"),
        ('"engine", "{name}"]', '"engine", "nobody"]', "engine ended before it was ready: exit status 1"),
        ('"python", "-m"', '"no-such-program", "-m"', "engine ended before it was ready: not started: "),
    ],
    ids=["no-image", "no-folder", "no-container", "ends", "no-program"],
)
def test_what_is_wrong_is_said_and_nothing_is_left(engine: Any, tmp_path: Path, old: str, new: str, says: str) -> None:
    """One error, and no container or network afterwards."""
    text = STACK.replace(old, new)
    assert text != STACK
    with pytest.raises(StackError, match=says), running(tmp_path, text):
        pass
    assert left(engine) == []


def test_no_engine_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is named, and what to do about it."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(StackError, match=r"no Docker Engine answers at .*nobody\.sock") as said, running(tmp_path):
        pass
    assert "dockerd" in str(said.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('image = "servedrill"', "", "has no image"),
        ('image = "servedrill"', 'image = "a"\nbuild = "b"', "has image and build"),
        ('image = "servedrill"', 'existing = "a"', "port: is missing"),
        ('memory = "1g"', 'memory = "much"', "memory: is 'much'"),
        ('mounts = ["{folder}/refstack.json:/stack/refstack.json:ro"]', 'mounts = ["/here"]', "mounts.0.: is '/here'"),
        ('kind = "docker"', 'kind = "process"', "container: has no use"),
        ('path = "refstack.json"', 'path = "../up.json"', "file.0..path: is '../up.json'"),
    ],
)
def test_files_that_cannot_be_meant(tmp_path: Path, old: str, new: str, says: str) -> None:
    """Refused when they are read."""
    path = tmp_path / "toys.toml"
    path.write_text(STACK.replace(old, new))
    with pytest.raises(UsageError, match=says):
        read_stack_file(path)


def test_the_stack_file_is_kept_beside_the_history(engine: Any, tmp_path: Path) -> None:
    """As what the stack was made of."""
    with running(tmp_path):
        kept = json.loads((tmp_path / "stack.json").read_text())
    assert (kept["kind"], kept["container"][0]["name"]) == ("docker", "engine")


def test_containers_and_users_reach_a_hop_where_each_can(tmp_path: Path) -> None:
    """A gateway's proxy is for users, on loopback; an engine's and a cache's for containers, at the address of this
    machine in their network; without a proxy a container is known by its name."""
    text = STACK + "".join(
        f"""[[container]]
name = "{name}"
role = "{role}"
image = "servedrill"
"""
        for name, role in (("gateway", "gateway"), ("store", "cache"), ("bare", "engine"))
    )
    path = tmp_path / "toys.toml"
    path.write_text(text)
    wiring = DockerWiring(read_stack_file(path), tmp_path, covered={"engine", "gateway", "store"})
    wiring.host = "172.19.0.1"
    wiring.take()
    assert {name: split_host_port(hop)[0] for name, hop in wiring.hops.items()} == {
        "engine": "172.19.0.1",
        "gateway": "127.0.0.1",
        "store": "172.19.0.1",
    }
    engine, _, _, bare = read_stack_file(path).container
    hops = wiring.filled("{hop:store} {hop:bare} {hop:engine}", engine).split()
    assert hops == [wiring.hops["store"], f"bare:{wiring.port('bare')}", wiring.hops["engine"]]
    assert wiring.filled("{port} {port:store} {name}", bare) == f"{wiring.port('bare')} {wiring.port('store')} bare"
    assert not any(hop.tap for hop in wiring.proxied_hops())  # one engine has none
