"""A memory limit that servedrill keeps itself: real processes, a real kill, nothing left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from servedrill.errors import FaultError
from servedrill.faults.memory_limit import KeptLimit
from servedrill.host import memory_groups
from servedrill.host.processes import ProcessId, children, identify

MIB = 1 << 20
SERVER = """
import subprocess, sys
core = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(core.stdout.readline().decode().strip(), flush=True)
sys.stdin.readline()
"""
CORE = """
import sys
held = bytearray(b"x") * (40 << 20)
open("/proc/self/oom_score_adj", "w").write("1000")
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def server() -> Iterator[ProcessId]:
    """A server with a core below it that holds 40 MiB and asks to be killed first, as an engine does."""
    command = [sys.executable, "-c", SERVER, CORE]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == b"ready\n"
    found = identify(process.pid)
    assert found is not None
    yield found
    process.stdin.close()
    process.wait(timeout=30)
    process.stdout.close()


def core_of(server: ProcessId) -> ProcessId:
    (pid,) = children(server.pid)
    found = identify(pid)
    assert found is not None
    return found


def test_it_kills_whom_the_kernel_would_choose_at_the_limit(server: ProcessId) -> None:
    """The core goes, its server stays; no more than a few MiB above the limit were held, and the ballast is gone."""
    core = core_of(server)
    limit = KeptLimit(server, headroom_bytes=16 * MIB, reason="no cgroup: Permission denied")
    limit.exceed(core)
    assert not core.alive and server.alive
    assert limit.kills() == 1
    assert f"pid {core.pid} killed with" in limit.told() and "limit kept by servedrill (no cgroup:" in limit.told()
    assert limit._killed is not None
    assert 0 <= limit._killed.used_bytes - limit._limit_bytes < 4 * MIB
    assert [pid for pid in children(server.pid) if pid != core.pid] == []


def test_nobody_is_killed_where_the_limit_is_not_reached(server: ProcessId) -> None:
    """A ballast that has taken what it may ends without a kill: that is no proof of anything."""
    family = f"{server.pid}:{server.start_ticks}"
    command = [sys.executable, "-m", "servedrill.faults.kept_limit", "2", str(1 << 40), family]
    done = subprocess.run(command, input=b"grow\n", capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert server.alive


def test_a_kill_of_another_process_is_an_error_of_the_fault(server: ProcessId) -> None:
    """Whoever has the highest score is killed; where that is not the core, nothing is claimed of it."""
    core = core_of(server)
    limit = KeptLimit(server, headroom_bytes=4 * MIB, reason="no cgroup")
    with pytest.raises(FaultError, match=f"pid {core.pid} had the highest oom_score"):
        limit.exceed(server)
    limit.lift()
    assert server.alive


def test_a_system_without_a_memory_cgroup_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The reason is an answer, and no usage error: a drill goes on without the kernel's limit."""
    read_only = tmp_path / "group"
    with pytest.raises(memory_groups.NoMemoryGroup, match="No such file"):
        memory_groups.make(read_only / "below" / "servedrill-x")
    monkeypatch.setattr(memory_groups, "_ROOT", tmp_path)
    monkeypatch.setattr(Path, "read_text", lambda self: "" if str(self) == "/proc/self/cgroup" else "x")
    with pytest.raises(memory_groups.NoMemoryGroup, match="no memory cgroup is mounted"):
        memory_groups.place("servedrill-x")
