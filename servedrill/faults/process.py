"""Process faults: kill, pause, terminate, restart, by the identity of a process and never by its bare pid."""

from __future__ import annotations

import signal
from typing import Any, Protocol

import httpx

from servedrill.control.bounded import call
from servedrill.errors import FaultError, NotInTime
from servedrill.faults.fault import Evidence
from servedrill.faults.figures import time_s
from servedrill.host.clock import wait_for
from servedrill.host.processes import read_status
from servedrill.leases.undo import ResumeProcess, Undo
from servedrill.stacks.protocols import Identity, Part, Replica, Signallable, Stack, Supervised


class SignallableStack(Stack, Signallable, Supervised, Protocol):
    """What these faults need."""


def _replica(stack: Stack, name: str) -> Replica:
    return next(replica for replica in stack.replicas() if replica.name == name)


class _ProcessFault:
    """Knows its victim from the moment it was made."""

    name = ""

    def __init__(
        self, stack: SignallableStack, replica: str, *, part: Part = "server", back_within_s: float | None = None
    ) -> None:
        """``back_within_s``: None for twice what the stack promises."""
        time_s(back_within_s=back_within_s)
        self.target = replica
        self.attributes: dict[str, Any] = {"part": part}
        self._stack, self._part = stack, part
        self._back_within_s = 2 * stack.promises.restart_within_s if back_within_s is None else back_within_s
        self._victim: Identity | None = None

    def _find(self) -> Identity:
        victim = self._stack.process(self.target, self._part)
        if victim is None:
            raise FaultError(f"{self.target} has no running {self._part}")
        self._victim = victim
        self.attributes["pid"] = victim.pid
        return victim

    def _serving_again(self) -> Evidence:
        """Wait until another process says that it is well."""
        replica, victim = _replica(self._stack, self.target), self._victim

        def back() -> bool:
            now = self._stack.process(self.target, "server")
            core_is_new = self._part == "server" or self._stack.process(self.target, "core") != victim
            if now is None or now == victim or not core_is_new:
                return False
            try:
                return call("GET", replica.health_url, timeout_s=1, headers=replica.headers).status_code == 200
            except httpx.HTTPError:
                return False

        try:
            waited_s = wait_for(back, what=f"{self.target} to serve again", within_s=self._back_within_s, every_s=0.05)
        except NotInTime as error:
            return Evidence(proven=False, observed=str(error))
        return Evidence(
            proven=True, observed=f"{self.target} serves again as a new process", figures={"waited_s": waited_s}
        )


class ProcessKill(_ProcessFault):
    """SIGKILL: no goodbye. Healed when whatever supervises the stack has a new process serving."""

    name = "process_kill"

    def undo(self) -> list[Undo]:
        """Nothing: whatever supervises the stack starts another process."""
        self._find()
        return []

    def inject(self) -> None:
        """Kill it. Raises `NotInTime` where it is not dead then."""
        assert self._victim is not None
        self._stack.signal(self.target, signal.SIGKILL, self._part)
        wait_for(
            lambda: not self._victim.alive if self._victim else True,
            what=f"{self.target} to be dead",
            within_s=2,
            every_s=0.002,
        )

    def evidence(self) -> Evidence:
        """The very process is gone."""
        assert self._victim is not None
        alive = self._victim.alive
        observed = f"{self._part} of {self.target}, pid {self._victim.pid}, is {'alive' if alive else 'gone'}"
        return Evidence(proven=not alive, observed=observed)

    def heal(self) -> Evidence:
        """Wait until another process serves."""
        return self._serving_again()


class ProcessPause(_ProcessFault):
    """SIGSTOP: its sockets stay open and nothing answers. Healed by SIGCONT."""

    name = "process_pause"

    def undo(self) -> list[Undo]:
        """SIGCONT."""
        victim = self._find()
        return [ResumeProcess(pid=victim.pid, start_ticks=victim.start_ticks)]

    def inject(self) -> None:
        """Stop it. Raises `NotInTime` where it goes on."""
        assert self._victim is not None
        self._stack.signal(self.target, signal.SIGSTOP, self._part)
        wait_for(lambda: self._state() == "T", what=f"{self.target} to be stopped", within_s=2, every_s=0.002)

    def evidence(self) -> Evidence:
        """The kernel has it as stopped."""
        state = self._state()
        return Evidence(proven=state == "T", observed=f"{self.target} is in state {state or 'gone'}")

    def heal(self) -> Evidence:
        """Continue it; the kernel has it as stopped no more."""
        assert self._victim is not None
        ResumeProcess(pid=self._victim.pid, start_ticks=self._victim.start_ticks).carry_out()
        try:
            wait_for(lambda: self._state() != "T", what=f"{self.target} to run again", within_s=2)
        except NotInTime as error:
            return Evidence(proven=False, observed=str(error))
        return Evidence(proven=True, observed=f"{self.target} is in state {self._state() or 'gone'}")

    def _state(self) -> str:
        assert self._victim is not None
        status = read_status(self._victim.pid)
        return status.state if status and status.start_ticks == self._victim.start_ticks else ""


class ProcessRestart(_ProcessFault):
    """SIGTERM, as a rollout or a node's drain sends it. Healed when a new process serves."""

    name = "process_restart"

    def undo(self) -> list[Undo]:
        """Nothing: whatever supervises the stack starts it again."""
        self._find()
        return []

    def inject(self) -> None:
        """Ask for the restart."""
        self._stack.restart(self.target)

    def evidence(self) -> Evidence:
        """Wait until the very process has ended."""
        assert self._victim is not None
        victim = self._victim
        try:
            waited_s = wait_for(
                lambda: not victim.alive, what=f"{self.target} to end after SIGTERM", within_s=self._back_within_s
            )
        except NotInTime as error:
            return Evidence(proven=False, observed=str(error))
        return Evidence(
            proven=True, observed=f"{self.target}, pid {victim.pid}, has ended", figures={"waited_s": waited_s}
        )

    def heal(self) -> Evidence:
        """Wait until another process serves."""
        return self._serving_again()
