"""What is sent while a stack is measured, and what is noted of it: each figure with what it comes from."""

from __future__ import annotations

import math
import time
from typing import Any

import msgspec

from servedrill.drill.context import Drill
from servedrill.errors import NotInTime, StackError
from servedrill.history.history import History
from servedrill.history.promises import TooMuch
from servedrill.history.requests import Requests

BUDGET_S = 60.0
NO_TIME = "there was no time to find out"
PATIENT: dict[str, Any] = {"deadline_s": 45.0, "first_token_timeout_s": 40.0, "idle_timeout_s": 40.0}


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A promise that the stack can make, and what it comes from."""

    name: str
    value: Any
    because: str


class Notebook:
    """Of one measurement; ``where``: of whose stack, for errors."""

    def __init__(self, drill: Drill, where: str, *, budget_s: float = BUDGET_S) -> None:
        self.drill, self.where, self._budget_s = drill, where, budget_s
        self.figures: list[Figure] = []
        self.unknown: dict[str, str] = {}
        """Promise -> why it could not be found out."""
        self.refuses: list[TooMuch] = []
        self._began = time.monotonic()

    @property
    def took_s(self) -> float:
        """So far."""
        return time.monotonic() - self._began

    @property
    def left_s(self) -> float:
        """Of its budget."""
        return self._budget_s - self.took_s

    def send(self, *classes: Any, within_s: float) -> None:
        """Traffic that ends by itself. Raises `StackError` where it does not in time."""
        try:
            self.drill.send(*classes, within_s=within_s)
        except NotInTime as error:
            raise StackError(
                f"too slow to be measured: {error}",
                where=self.where,
                expected=f"{', '.join(one.name for one in classes)} within {within_s:.0f} s",
                hint="write the promises into the stack file by hand: docs/stacks.md",
            ) from error

    def requests(self, *names: str, cancelled: bool = False) -> Requests:
        """Those of some classes, all of them without any."""
        history = History.read(self.drill.journal.path)
        return history.requests(classes=names or None, cancelled=cancelled)

    def note(self, name: str, value: Any, because: str) -> None:
        """A figure that was found; in place of one of that name that was found before."""
        self.figures = [one for one in self.figures if one.name != name]
        self.figures.append(Figure(name=name, value=value, because=because))

    def value(self, name: str, otherwise: Any = 1) -> Any:
        """One that was found before."""
        return next((one.value for one in self.figures if one.name == name), otherwise)


def rounded_up(seconds: float) -> float:
    """To two digits."""
    if seconds <= 0:
        return 0.01
    scale = 10.0 ** (math.floor(math.log10(seconds)) - 1)
    return float(round(math.ceil(seconds / scale) * scale, 4))
