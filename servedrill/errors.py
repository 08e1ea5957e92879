"""The one tree of errors, and the exit codes that name them.

    ServedrillError
    ├── UsageError          what the user gave cannot be used            exit 4
    │   ├── FileError       files that people wrote have mistakes        exit 4
    │   └── StackError      the stack cannot be brought up               exit 4
    ├── NotInTime           a condition did not come true in time
    ├── FaultError          a fault could not be put in place or healed
    └── Unwatched           halted, or nobody would heal, or somebody has healed behind our back

A failed check is none of these: it is a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from servedrill.secrecy.known import hidden


class ExitCode(IntEnum):
    """What a run's exit status means; the first six are pytest's own."""

    PASSED = 0
    FAILED = 1
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING_RAN = 5
    INCONCLUSIVE = 6


class ServedrillError(Exception):
    """Root of every error that this package raises on purpose; none says a secret, wherever it is shown."""

    def __init__(self, *said: str) -> None:
        super().__init__(*map(hidden, said))


class UsageError(ServedrillError):
    """One clear line: what is wrong, where, what was expected, what to do next."""

    def __init__(self, what: str, *, where: str = "", expected: str = "", hint: str = "") -> None:
        self.what, self.where, self.expected, self.hint = map(hidden, (what, where, expected, hint))
        parts = [f"{where}: {what}" if where else what]
        if expected:
            parts.append(f"expected {expected}")
        if hint:
            parts.append(f"hint: {hint}")
        super().__init__("; ".join(parts))


class FileError(UsageError):
    """Everything that is wrong with files that people wrote: one line for each mistake, with its place."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(map(hidden, mistakes))
        super().__init__("\n".join(self.mistakes))


class StackError(UsageError):
    """The stack cannot be brought up, or lost a process that no fault had touched."""


class NotInTime(ServedrillError):
    """A condition did not come true within its bound."""

    def __init__(self, *, what: str, waited_s: float) -> None:
        self.what, self.waited_s = what, waited_s
        super().__init__(f"{what}: not within {waited_s:.1f} s")


class FaultError(ServedrillError):
    """A fault could not be put in place, or its healing could not be proven."""


class Unwatched(ServedrillError):
    """Somebody pulled the safety lever, or the watchdog is gone, or has healed what a drill thinks is broken: the drill
    cannot go on."""
