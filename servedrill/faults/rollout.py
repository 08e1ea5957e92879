"""A model swap: a rollout of a candidate version, good or bad, under traffic."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

from servedrill.errors import NotInTime
from servedrill.faults.fault import Evidence
from servedrill.faults.figures import time_s
from servedrill.host.clock import wait_for
from servedrill.leases.undo import Undo
from servedrill.stacks.protocols import Stack, Swappable


class SwappableStack(Stack, Swappable, Protocol):
    """What this fault needs."""


class ModelRollout:
    """Starts a rollout and waits for its end; healing is the stack's own affair, and waits for it too."""

    name = "model_rollout"

    def __init__(self, stack: SwappableStack, candidate: str, *, within_s: float | None = None) -> None:
        """``within_s``: None for what the stack promises."""
        time_s(within_s=within_s)
        self.target, self.attributes = stack.promises.model, {"candidate": candidate}
        self._stack, self._candidate = stack, candidate
        self._within_s = stack.promises.rollout_within_s if within_s is None else within_s
        self._number: int | None = None
        self.result: dict[str, Any] = {"state": "not started", "reason": "", "steps": []}

    def undo(self) -> list[Undo]:
        """Nothing: the stack ends a rollout by itself, for better or worse."""
        return []

    def inject(self) -> None:
        """Start the rollout."""
        self._number = self._stack.start_rollout(self._candidate)

    def view(self) -> dict[str, Any]:
        """``state``, ``reason`` and ``steps`` as last seen."""
        return dict(self.result)

    def over(self) -> bool:
        """Whether it has ended; ``result`` has its ``state``: promoted, rolled_back or broken, running until then."""
        if self._number is None:
            return True
        self.result = self._stack.rollout(self._number)
        return bool(self.result["state"] != "running")

    def wait(self) -> dict[str, Any]:
        """Wait for the end, `within_s` at most."""
        with contextlib.suppress(NotInTime):
            wait_for(self.over, what=f"the rollout of {self._candidate} to end", within_s=self._within_s, every_s=0.05)
        return self.result

    def evidence(self) -> Evidence:
        """Wait for the end; a step was taken."""
        began = bool(self.wait()["steps"])
        return Evidence(
            proven=began,
            observed=f"rollout of {self._candidate}: {self.result['state']}, {'; '.join(self.result['steps'])}",
        )

    def heal(self) -> Evidence:
        """Wait for the end; it is over."""
        over = self.wait()["state"] != "running"
        return Evidence(
            proven=over,
            observed=f"the rollout of {self._candidate} is {self.result['state']}: "
            f"{self.result['reason'] or 'no objection'}",
        )
