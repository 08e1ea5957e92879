"""A drill that is only gone through: no traffic, no fault, no time, and in the end what it would claim of this stack.

The drill's own function runs, so that nothing is foretold that it would not do. On a stack that others are served by it
reaches nobody meanwhile: whatever tries to (a connection, a process, a signal) ends the rehearsal there.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from servedrill.checkers.checker import Checker
from servedrill.drill.asking import Asking
from servedrill.faults.fault import Fault
from servedrill.history.events import PartSkipped
from servedrill.host.untouched import touching, untouched
from servedrill.load.plan import RequestClass


class Rehearsal(Asking):
    """In place of `servedrill.drill.context.Drill`."""

    control = False

    def __init__(self, stack: Any, *, name: str) -> None:
        self.stack, self.name, self.seed = stack, name, 0
        self.chance = random.Random(0)
        self.folder = Path(os.devnull)
        self.claims: list[Checker] = []
        self.left_out: list[PartSkipped] = []
        self.broke = ""
        """Why it was not gone through to its end."""
        self.append = self.left_out.append
        self.observer = SimpleNamespace(latest={}, alerts={})

    def go_through(self, function: Callable[[Any], object]) -> None:
        """Call the drill's function; what it raises is said by `broke`."""
        try:
            with untouched() if self.stack.shared else contextlib.nullcontext():
                function(self)
        except Exception as error:
            self.broke = f"{type(error).__name__}: {error}"
        else:
            self.expect_nothing_held()

    def _note(self, checker: Checker) -> None:
        self.claims.append(checker)

    def can(self, capability: str, *, part: str) -> bool:
        """As `Asking.can`; to know it a stack may have to be asked."""
        with touching():
            return super().can(capability, part=part)

    # ---- what a drill does, and this one does not

    def load(self, *classes: RequestClass, to: str | None = None) -> Any:
        """No traffic."""
        return SimpleNamespace(
            load=SimpleNamespace(sent=0, in_flight=0, status=lambda: None),
            running=False,
            wait=_nothing,
            stop=_nothing,
            close=_nothing,
        )

    def send(self, *classes: RequestClass, to: str | None = None, window: str = "", within_s: float = 15.0) -> None:
        """No traffic."""

    def keep_open(self, *, name: str, **more: Any) -> None:
        """No traffic."""

    def baseline(self, seconds: float) -> None:
        """No time."""

    def recover(self, seconds: float) -> None:
        """No time."""

    def hold(self, seconds: float) -> None:
        """No time."""

    def settle(self) -> None:
        """No time."""

    def wait_until(self, condition: Callable[[], bool], **more: Any) -> bool:
        """As if it came true."""
        return True

    @contextlib.contextmanager
    def window(self, name: str) -> Iterator[None]:
        """No time."""
        yield

    def step(self, phase: str, step: str = "") -> None:
        """Nobody is told."""

    @contextlib.contextmanager
    def broken(self, *faults: Fault, window: str = "inject", deadline_s: float = 30.0) -> Iterator[None]:
        """Nothing is broken."""
        yield

    def break_for(self, seconds: float, *faults: Fault, window: str = "inject") -> None:
        """Nothing is broken."""

    def observe(self, name: str, value: float, unit: str = "", **detail: Any) -> None:
        """Nothing is written down."""


def _nothing(*given: Any, **more: Any) -> None:
    pass
