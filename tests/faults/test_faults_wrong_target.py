"""The same fault aimed at nothing: it changes nothing, so a drill that uses it says nothing.

An injection that does nothing and is believed lets every claim pass. Faults are found by their methods, so that a new
one is asked for here.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_world import RememberingServer, sleeper
from hop_world import Hop, hop_of_ours
from test_faults_toxics import FAULTS as TOXICS

from servedrill import faults
from servedrill.checkers.finding import Answer
from servedrill.errors import NotInTime
from servedrill.faults.container import ContainerPause, NetworkCut
from servedrill.faults.dns import DnsChange
from servedrill.faults.fault import Fault
from servedrill.faults.gpu import GpuBallast
from servedrill.faults.lease import leased
from servedrill.faults.memory import MemoryBallast
from servedrill.faults.network import Down
from servedrill.faults.process import ProcessKill, ProcessPause, ProcessRestart
from servedrill.faults.rollout import ModelRollout
from servedrill.faults.serving import EngineSleep
from servedrill.history import events as e
from servedrill.history.dialect import Spoken
from servedrill.history.history import History
from servedrill.history.journal import Journal, read_events
from servedrill.history.promises import Promises
from servedrill.host.clock import now_ns
from servedrill.host.gpu import Gpu
from servedrill.host.processes import ProcessId
from servedrill.judging.verdict import Verdict, judge
from servedrill.leases.ledger import Ledger
from servedrill.leases.undo import DockerCall, HttpCall
from servedrill.stacks.protocols import Replica


class LedgerAlone:
    """A guard whose watchdog never came."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder / "leases.jsonl")

    def check(self) -> None:
        """Nobody asks after it."""


class DeafStack:
    """One engine that lives on whatever is done to it, because nothing of it arrives."""

    name, environment = "deaf", "local"
    promises = Promises(model="m", restart_within_s=0.1, rollout_within_s=0.1)
    spoken = Spoken()

    def __init__(self, life: ProcessId, url: str) -> None:
        self.life, self.url = life, url

    def replicas(self) -> list[Replica]:
        return [Replica(name="engine-0", role="engine", url=self.url)]

    def process(self, replica: str, part: str = "server") -> ProcessId | None:
        return self.life

    def processes(self) -> list[dict[str, Any]]:
        return []

    def signal(self, replica: str, number: int, part: str = "server") -> None: ...

    def restart(self, replica: str) -> None: ...

    def starts(self, replica: str) -> int:
        return 1

    def memory_group(self, replica: str) -> str:
        return ""

    def no_memory_group(self) -> str:
        return "none here"

    def oom_kills(self, replica: str) -> int:
        return 0

    def start_rollout(self, candidate: str) -> int:
        return 1

    def rollout(self, number: int) -> dict[str, Any]:
        return {"state": "promoted", "reason": "it serves already", "steps": []}

    def records_api(self) -> str:
        return self.url.removeprefix("http://")

    def docker_socket(self) -> str:
        return "/nowhere"

    def container(self, replica: str) -> str:
        return "c0ffee"

    def network(self, replica: str) -> str:
        return "drills"


def another_gpu() -> list[Gpu]:
    """The ballast took nothing of the device that the engine is on."""
    return [Gpu(index=0, name="a", total_bytes=8 << 30, used_bytes=1 << 30, processes={os.getpid(): 1 << 30})]


AIMED: dict[type[Any], Callable[[Any], Fault]] = {
    ProcessRestart: lambda stack: ProcessRestart(stack, "engine-0", back_within_s=0.1),
    EngineSleep: lambda stack: EngineSleep(stack, "engine-0"),
    ModelRollout: lambda stack: ModelRollout(stack, "v1"),
    DnsChange: lambda stack: DnsChange(stack, ["127.0.0.10", "127.0.0.11"]),
    NetworkCut: lambda stack: NetworkCut(stack, "engine-0"),
    ContainerPause: lambda stack: ContainerPause(stack, "engine-0"),
    GpuBallast: lambda stack: GpuBallast(stack, "engine-0", gpus=another_gpu),
}
"""At what does not change by it."""
SAID_AT_ONCE: dict[type[Any], Callable[[Any], Fault]] = {
    ProcessKill: lambda stack: ProcessKill(stack, "engine-0"),
    ProcessPause: lambda stack: ProcessPause(stack, "engine-0"),
}
"""Those that see to it that it is done before the drill goes on."""
ELSEWHERE = {MemoryBallast: "test_faults_memory.py: a kill of another process is an error of the fault", Down: "below"}
"""Those that take more than a deaf stack."""


NO_BALLAST = """
import sys
for word in ("ready", "full"):
    print(word, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def hop() -> Iterator[Hop]:
    with hop_of_ours() as hop:
        yield hop


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeafStack]:
    """A stack whose processes, pages and containers stay as they are; a GPU ballast that takes nothing."""
    same = {
        "State": {"Status": "running"},
        "NetworkSettings": {"Networks": {"drills": {"Aliases": None, "IPAMConfig": None}}},
    }
    for kind in (NetworkCut, ContainerPause):
        monkeypatch.setattr(kind, "_inspect", lambda _: same)
    monkeypatch.setattr(DockerCall, "carry_out", lambda _: None)
    monkeypatch.setattr("servedrill.faults.gpu._BALLAST", NO_BALLAST)
    monkeypatch.setattr("servedrill.faults.gpu.family", lambda pid: [os.getpid()])
    with RememberingServer() as server, sleeper() as alive:
        server.state = {"is_sleeping": False, "addresses": ["127.0.0.10", "127.0.0.11"]}
        server.state["answers"] = server.state["addresses"]
        yield DeafStack(alive.identity, f"http://{server.address}")


def drilled(folder: Path, fault: Fault, **more: Any) -> Verdict:
    """What is said of a drill in which the fault was in place for a moment."""
    journal, guard = Journal(folder / "history.jsonl"), LedgerAlone(folder)
    with contextlib.closing(journal), contextlib.closing(guard.ledger):
        journal.append(e.DrillStarted(t_ns=now_ns(), drill="d", hypothesis="h", seed=1, control=False, promises={}))
        with leased(guard, journal, fault, deadline_s=5):  # type: ignore[arg-type]
            for done in more.values():
                done()
        journal.append(e.DrillEnded(t_ns=now_ns(), interrupted=None))
    return judge(History(read_events(journal.path)))


def proof(verdict: Verdict) -> Answer:
    return next(found.answer for found in verdict.findings if found.checker == "FaultsTookEffect")


@pytest.mark.parametrize("kind", AIMED, ids=lambda kind: kind.__name__)
def test_a_fault_at_nothing_proves_nothing(tmp_path: Path, deaf: DeafStack, kind: type[Any]) -> None:
    """It was injected, nothing is as it says, and so no verdict is given."""
    verdict = drilled(tmp_path, AIMED[kind](deaf))
    assert proof(verdict) is Answer.INCONCLUSIVE
    assert verdict.answer is not Answer.PASS


@pytest.mark.parametrize("kind", SAID_AT_ONCE, ids=lambda kind: kind.__name__)
def test_a_signal_that_nobody_got_ends_the_drill(tmp_path: Path, deaf: DeafStack, kind: type[Any]) -> None:
    """What has to be so at once and is not raises; such a drill has not run to its end."""
    with pytest.raises(NotInTime):
        drilled(tmp_path, SAID_AT_ONCE[kind](deaf))


@pytest.mark.parametrize("name", TOXICS)
def test_a_toxic_without_traffic_proves_nothing(tmp_path: Path, hop: Hop, name: str) -> None:
    """It is there all the time, and nothing came by."""
    verdict = drilled(tmp_path, TOXICS[name][0](hop))
    assert proof(verdict) is Answer.INCONCLUSIVE
    assert verdict.answer is Answer.INCONCLUSIVE


def test_a_hop_that_was_put_back_at_once_proves_nothing(tmp_path: Path, hop: Hop) -> None:
    """Somebody enabled its proxy again."""
    fault = Down(hop, "hop")
    (undo,) = fault.undo()
    assert isinstance(undo, HttpCall)
    assert proof(drilled(tmp_path, fault, put_back=undo.carry_out)) is Answer.INCONCLUSIVE


def test_every_fault_is_aimed_at_nothing() -> None:
    """Whatever can be injected and asked for evidence has its place above."""
    modules = [
        importlib.import_module(f"{faults.__name__}.{one.name}") for one in pkgutil.iter_modules(faults.__path__)
    ]
    kinds = {
        kind
        for module in modules
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
        and {"undo", "inject", "evidence", "heal"} <= set(dir(kind))
        and name not in ("Fault", "Toxic")
    }
    assert kinds == {*AIMED, *SAID_AT_ONCE, *ELSEWHERE}
