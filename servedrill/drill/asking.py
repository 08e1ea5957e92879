"""What a drill says of a stack without doing anything to it: what it needs, what it claims, what it leaves out.

The same for a drill that runs and for one that is only gone through, see `servedrill.drill.rehearsal`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from servedrill.checkers.checker import Checker
from servedrill.checkers.conservation import NothingHeld
from servedrill.checkers.validity import Unpromised
from servedrill.history.events import PartSkipped
from servedrill.history.guesses import guessed, with_guesses
from servedrill.history.promises import REFUSED, Promises, TooMuch
from servedrill.host.clock import now_ns
from servedrill.stacks.capabilities import lacking


class Asking:
    """Claims of one drill on one stack."""

    stack: Any
    name: str
    append: Callable[..., None]
    """Takes events."""

    @cached_property
    def promises(self) -> Promises:
        """What the stack says of itself, and is held to. Numbers that it does not say are made up, for traffic that has
        to have some size; a claim whose limit is made of one is not judged."""
        promises: Promises = with_guesses(self.stack.promises)
        return promises

    @property
    def model(self) -> str:
        """The name that users ask for."""
        return self.promises.model

    @property
    def engines(self) -> list[str]:
        """Their names."""
        return self._names("engine")

    @property
    def gateways(self) -> list[str]:
        """Their names."""
        return self._names("gateway")

    def _names(self, role: str) -> list[str]:
        return [replica.name for replica in self.stack.replicas() if replica.role == role]

    def expect(self, *claims: Checker | Iterable[Checker]) -> None:
        """What the history has to show, judged when the drill is over.

        Claims for which the stack has nothing are skipped with their reason.
        """
        for claim in claims:
            for checker in [claim] if isinstance(claim, Checker) else claim:
                if checker.needs and not self.can(checker.needs, part=checker.claim):
                    continue
                if reason := checker.moot(self.stack.spoken.dialect):
                    self.skip(checker.claim, reason)
                    continue
                self._note(_promised_or_not(checker))

    def expect_nothing_held(self) -> None:
        """What every drill asks for in the end, where the stack is its own."""
        if self.stack.shared:
            self.skip(NothingHeld().claim, f"others may be served by stack {self.stack.name!r} at any time")
        else:
            self.expect(NothingHeld())

    def can(self, capability: str, *, part: str) -> bool:
        """Whether the stack has a capability; if not, the part that needs it is noted as skipped, with the reason."""
        if reason := lacking(self.stack, capability):
            self.skip(part, reason)
        return not reason

    def knows(self, *promises: str, part: str) -> bool:
        """Whether the stack has made these promises; if not, the part that rests on them is not judged."""
        if unknown := [name for name in promises if name in self.stack.promises.assumed]:
            self._note(Unpromised(what=part, names=unknown))
        return not unknown

    def refuses(self, what: TooMuch) -> bool:
        """Whether the stack says no when this is too much, and how much that is; else nobody asks it for that."""
        part = REFUSED[what].part
        if what not in self.stack.promises.refuses:
            self.skip(part, f"stack {self.stack.name!r} says that it takes whatever comes (promises.refuses)")
            return False
        return self.knows(*REFUSED[what].promises, part=part)

    def skip(self, part: str, reason: str) -> None:
        """Note a part that is left out on this stack; the verdict shows it."""
        self.append(PartSkipped(t_ns=now_ns(), part=part, reason=reason))

    def _note(self, checker: Checker) -> None:
        self.append(checker.expected(now_ns()))


def _promised_or_not(checker: Checker) -> Checker:
    """The claim, or the one that stands for it where its limit is nobody's."""
    names = frozenset[str]().union(*(guessed(getattr(checker, field)) for field in checker.__struct_fields__))
    if not names:
        return checker
    return Unpromised(what=checker.claim, names=sorted(names), window=getattr(checker, "window", ""))
