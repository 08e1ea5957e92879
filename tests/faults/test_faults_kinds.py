"""The faults themselves, on stacks that are as small as can be: each bites, says so, and heals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from fault_world import RememberingServer, Sleeper, sleeper

from servedrill.errors import FaultError
from servedrill.faults.dns import DnsChange
from servedrill.faults.fault import Fault
from servedrill.faults.process import ProcessKill, ProcessPause, ProcessRestart
from servedrill.faults.rollout import ModelRollout
from servedrill.history.dialect import Spoken
from servedrill.history.promises import Promises
from servedrill.host.clock import wait_for
from servedrill.host.processes import ProcessId
from servedrill.leases.undo import ResumeProcess
from servedrill.stacks.protocols import Replica


class StackOfSleepers:
    """One engine that is a sleeping process; a killed or restarted one comes back as another when asked for."""

    name, environment = "sleepers", "local"
    promises = Promises(model="m")
    spoken = Spoken()

    def __init__(self, made: list[Sleeper], url: str, *, comes_back: bool = True) -> None:
        self.made, self.url, self.comes_back = made, url, comes_back

    def replicas(self) -> list[Replica]:
        return [Replica(name="engine-0", role="engine", url=self.url)]

    def process(self, replica: str, part: str = "server") -> ProcessId | None:
        if self.made and not self.made[-1].identity.alive and self.comes_back:
            self.made.append(Sleeper())
        return self.made[-1].identity if self.made and self.made[-1].identity.alive else None

    def signal(self, replica: str, number: int, part: str = "server") -> None:
        os.kill(self.made[-1].pid, number)

    def restart(self, replica: str) -> None:
        self.signal(replica, signal.SIGTERM)


@contextlib.contextmanager
def sleepers(url: str, **how: Any) -> Iterator[StackOfSleepers]:
    with sleeper() as first:
        stack = StackOfSleepers([first], url, **how)
        try:
            yield stack
        finally:
            for one in stack.made[1:]:
                one.process.kill()
                one.process.communicate()


@pytest.mark.parametrize("kind", [ProcessKill, ProcessPause, ProcessRestart])
def test_a_process_fault_bites_and_heals(kind: type[Any]) -> None:
    """Killed, frozen or told to end; healed when it serves again, as the same process where it was only frozen."""
    with RememberingServer() as healthy, sleepers(f"http://{healthy.address}") as stack:
        fault: Fault = kind(stack, "engine-0")
        victim = stack.made[0].identity
        undo = fault.undo()
        fault.inject()
        evidence = fault.evidence()
        healed = fault.heal()
        again = fault.heal()
        assert (evidence.proven, healed.proven, again.proven) == (True, True, True), (evidence, healed)
        assert fault.attributes["pid"] == victim.pid
        assert undo == ([ResumeProcess(pid=victim.pid, start_ticks=victim.start_ticks)] if kind is ProcessPause else [])
        assert (stack.process("engine-0") == victim) == (kind is ProcessPause)


@pytest.mark.parametrize("kind", [ProcessKill, ProcessRestart])
def test_a_process_that_does_not_come_back_is_not_healed(kind: type[Any]) -> None:
    """Healing is what was measured, not what was hoped for."""
    with RememberingServer() as healthy, sleepers(f"http://{healthy.address}", comes_back=False) as stack:
        fault = kind(stack, "engine-0", back_within_s=0.2)
        fault.undo()
        fault.inject()
        fault.evidence()
        healed = fault.heal()
        assert not healed.proven
        assert healed.observed.startswith("engine-0 to serve again: not within 0.")


def test_a_process_that_is_back_but_not_healthy_is_not_healed() -> None:
    """Another pid is not enough."""
    with RememberingServer(status=503) as unhealthy, sleepers(f"http://{unhealthy.address}") as stack:
        fault = ProcessKill(stack, "engine-0", back_within_s=0.2)
        fault.undo()
        fault.inject()
        assert not fault.heal().proven


def test_a_process_that_is_not_there_cannot_be_broken() -> None:
    """Said before anything is done."""
    stack = StackOfSleepers([], "http://127.0.0.1:1")
    with pytest.raises(FaultError, match="engine-0 has no running server"):
        ProcessKill(stack, "engine-0").undo()


def test_a_frozen_process_that_somebody_resumed_did_not_bite() -> None:
    """Evidence is taken of the state as it is."""
    with sleepers("http://127.0.0.1:1") as stack:
        fault = ProcessPause(stack, "engine-0")
        fault.undo()
        fault.inject()
        os.kill(stack.made[0].pid, signal.SIGCONT)
        wait_for(lambda: stack.made[0].running, what="it to run", within_s=30)
        assert not fault.evidence().proven


# ---- DNS and rollouts


class NamedStack:
    def __init__(self, api: str) -> None:
        self.api = api

    def records_api(self) -> str:
        return self.api


def test_a_dns_change_is_told_and_taken_back() -> None:
    """The records are replaced, and given up again by the same call that the watchdog would make."""
    with RememberingServer() as api:
        fault = DnsChange(NamedStack(api.address), ["127.0.0.66"])
        api.state = {"addresses": ["127.0.0.10"], "answers": ["127.0.0.10"]}
        fault.inject()
        assert not fault.evidence().proven
        api.state = {"addresses": ["127.0.0.66"], "answers": ["127.0.0.66"]}
        assert fault.evidence().proven
        assert not fault.heal().proven
        api.state = {"addresses": ["127.0.0.10"], "answers": ["127.0.0.10"]}
        assert not fault.evidence().proven
        assert fault.heal().proven
        puts = [json.loads(body) for method, path, body in api.calls if (method, path) == ("PUT", "/records")]
    assert puts == [["127.0.0.66"], None, None]


class RollingStack:
    """A rollout that needs as many looks as told."""

    promises = Promises(model="chat-model")
    spoken = Spoken()

    def __init__(self, *, looks: int, state: str, steps: list[str]) -> None:
        self.looks, self.state, self.steps = looks, state, steps

    def start_rollout(self, candidate: str) -> int:
        return 7

    def rollout(self, number: int) -> dict[str, Any]:
        assert number == 7
        self.looks -= 1
        return {"state": "running" if self.looks > 0 else self.state, "reason": "", "steps": self.steps}


@pytest.mark.parametrize(
    ("state", "steps", "began"),
    [("promoted", ["cordon"], True), ("rolled_back", ["cordon"], True), ("broken", [], False)],
)
def test_a_rollout_is_waited_for(state: str, steps: list[str], began: bool) -> None:
    """It took effect when it made a step, and is over when it has ended, however it did."""
    fault = ModelRollout(RollingStack(looks=3, state=state, steps=steps), "v2")  # type: ignore[arg-type]
    assert fault.over()
    fault.inject()
    assert not fault.over()
    assert (fault.evidence().proven, fault.heal().proven, fault.view()["state"]) == (began, True, state)


def test_a_rollout_without_end_is_not_healed() -> None:
    """The stack's own affair, but it has to come to an end."""
    fault = ModelRollout(RollingStack(looks=10**6, state="promoted", steps=["cordon"]), "v2", within_s=0.1)  # type: ignore[arg-type]
    fault.inject()
    assert not fault.heal().proven
