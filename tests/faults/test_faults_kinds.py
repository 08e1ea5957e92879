"""The faults themselves, on stacks that are as small as can be: each bites, says so, and heals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fault_world import RememberingServer, Sleeper, sleeper

from servedrill.clock import wait_for
from servedrill.errors import FaultError
from servedrill.faults.dns import DnsChange
from servedrill.faults.fault import Fault
from servedrill.faults.network import Down, Toxic, black_hole, http_status, latency
from servedrill.faults.process import ProcessKill, ProcessPause, ProcessRestart
from servedrill.faults.rollout import ModelRollout
from servedrill.faults.undo import HttpCall, ResumeProcess
from servedrill.proc import ProcessId
from servedrill.stacks.ports import free_ports
from servedrill.stacks.protocols import Promises, Replica


class StackOfSleepers:
    """One engine that is a sleeping process; a killed or restarted one comes back as another when asked for."""

    name, environment = "sleepers", "local"
    promises = Promises(model="m")

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
        wait_for(lambda: stack.made[0].running, what="it to run", within_s=2)
        assert not fault.evidence().proven


# ---- the network


class StackOfOneProxy:
    """A fault proxy with one hop, in front of a server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def proxy_api(self) -> str:
        return f"127.0.0.1:{self.port}"

    def hops(self) -> list[str]:
        return ["hop"]


@pytest.fixture(scope="module")
def proxied() -> Iterator[tuple[StackOfOneProxy, str]]:
    """The stack, and the URL of its hop."""
    api, hop = free_ports(2)
    command = [sys.executable, "-m", "servedrill.toxiproxy", "--port", str(api), "--die-with-parent"]
    with RememberingServer() as server, subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:

        def up() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"http://127.0.0.1:{api}/version").status_code == 200
            return False

        wait_for(up, what="the fault proxy", within_s=20)
        proxy = {"name": "hop", "listen": f"127.0.0.1:{hop}", "upstream": server.address}
        httpx.post(f"http://127.0.0.1:{api}/proxies", json=proxy).raise_for_status()
        yield StackOfOneProxy(api), f"http://127.0.0.1:{hop}/v1/models"
        process.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=0.3).status_code == 200
    except httpx.HTTPError:
        return False


FAULTS = {
    "black_hole": black_hole,
    "down": Down,
    "http_status": lambda stack, hop: http_status(stack, hop, status=503),
    "latency": lambda stack, hop: latency(stack, hop, ms=600),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_network_fault_bites_and_heals(proxied: tuple[StackOfOneProxy, str], kind: str) -> None:
    """Requests fail while it is in place; afterwards they are answered, however often it is healed."""
    stack, url = proxied
    fault: Fault = FAULTS[kind](stack, "hop")
    assert answers(url)
    (undo,) = fault.undo()
    assert isinstance(undo, HttpCall)
    fault.inject()
    assert not answers(url)
    evidence = fault.evidence()
    assert evidence.proven, evidence
    assert fault.heal().proven
    assert answers(url)
    undo.carry_out()
    assert fault.heal().proven


def test_a_toxic_that_touched_nothing_says_so(proxied: tuple[StackOfOneProxy, str]) -> None:
    """In place, but no traffic came: no evidence of an effect."""
    stack, _ = proxied
    fault = latency(stack, "hop", ms=1)
    fault.inject()
    evidence = fault.evidence()
    assert fault.heal().proven
    assert (evidence.proven, evidence.observed) == (False, "latency touched 0 connections on hop")


def test_evidence_outlives_the_toxic(proxied: tuple[StackOfOneProxy, str]) -> None:
    """What it touched is still known after the watchdog took it away."""
    stack, url = proxied
    fault = latency(stack, "hop", ms=1)
    fault.inject()
    assert answers(url)
    for undo in fault.undo():
        undo.carry_out()
    assert fault.evidence().proven
    assert fault.heal().proven


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda stack: latency(stack, "nowhere", ms=1), "no proxy 'nowhere'"),
        (lambda stack: Down(stack, "nowhere"), "no proxy 'nowhere'"),
        (lambda stack: Toxic(stack, "hop", "no_such_toxic"), "refused no_such_toxic on hop"),
    ],
)
def test_a_network_fault_that_cannot_be_injected_says_why(
    proxied: tuple[StackOfOneProxy, str], make: Any, says: str
) -> None:
    """One line with the fault and the hop."""
    with pytest.raises(FaultError, match=says):
        make(proxied[0]).inject()


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
        api.state = {"addresses": ["127.0.0.66"], "answers": ["127.0.0.66"]}
        fault.inject()
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
