"""Questions to people, at a terminal or where nobody sits."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Callable, Iterator
from typing import Literal, Protocol, TypeAlias

from servedrill.leases.lever import user

Mode: TypeAlias = Literal["ask", "yes", "nobody"]
"""Ask at the terminal; say yes to every go; take defaults, and no-go where there is none."""
GO, NO_GO = "go", "no-go"
_EVERY_S = 0.1


class Screen(Protocol):
    """Makes room for a question."""

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """Nothing else is drawn inside the block."""


class People:
    """Whoever sits at this terminal, and who has which role."""

    def __init__(self, mode: Mode, *, named: dict[str, str] | None = None) -> None:
        """``named``: role -> name."""
        self.mode = mode
        self._named = named or {}
        self._typed = b""

    def who(self, role: str) -> str:
        """By name, else as the system knows whoever sits here."""
        return self._named.get(role) or user()

    def ask(
        self, question: str, *, role: str, answers: str, default: str, screen: Screen, check: Callable[[], None]
    ) -> tuple[str, bool]:
        """The answer, and whether it came without asking anybody. ``check`` is called all the while; it may raise.

        For ``answers`` of "go" it is `GO` or `NO_GO`, else a line of text.
        """
        if self.mode != "ask":
            return self._unasked(answers, default), True
        with screen.paused():
            while True:
                said = self._line(self._prompt(question, role, answers, default), check).strip()
                answer = said or default
                if answers != "go":
                    return answer, False
                if answer.lower() in ("go", "g", "yes", "y"):
                    return GO, False
                if answer.lower() in ("no-go", "no", "n", "nogo"):
                    return NO_GO, False
                print("Please say go or no-go.", flush=True)

    def _unasked(self, answers: str, default: str) -> str:
        if answers != "go":
            return default
        return GO if self.mode == "yes" or default.lower() in (GO, "yes") else NO_GO

    def _prompt(self, question: str, role: str, answers: str, default: str) -> str:
        whom = f"[{role}: {self.who(role)}] " if role else ""
        choice = " (go / no-go)" if answers == "go" else ""
        return f"\n{whom}{question}{choice}{f' [{default}]' if default else ''} > "

    def _line(self, prompt: str, check: Callable[[], None]) -> str:
        """A line that is typed, looked for between two calls of ``check``. Raises `EOFError` as input() does."""
        sys.stdout.write(prompt)
        sys.stdout.flush()
        descriptor = sys.stdin.fileno()
        while b"\n" not in self._typed:
            check()
            if select.select([descriptor], [], [], _EVERY_S)[0]:
                more = os.read(descriptor, 4096)
                if not more:
                    raise EOFError
                self._typed += more
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace")


@contextlib.contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """Inside the block each key is there at once: the function gives the one that was pressed, or nothing."""
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield (
            lambda: os.read(descriptor, 1).decode(errors="replace") if select.select([descriptor], [], [], 0)[0] else ""
        )
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
