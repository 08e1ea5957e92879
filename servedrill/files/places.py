"""Where something stands in a file, and what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass

Key = tuple[str | int, ...]
"""A path from the top of an object: keys of mappings, indexes of lists."""


def dotted(key: Key) -> str:
    """``spec.objectives[0].target``."""
    text = ""
    for step in key:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Counted from 1."""

    line: int
    column: int


START = Position(1, 1)


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One line for a person: where, what, what was expected, what was probably meant."""

    file: str
    position: Position
    path: str
    """The key, `dotted`; empty for the file as such."""
    what: str
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.position.line}:{self.position.column}"
        text = f"{where}: {self.path}: {self.what}" if self.path else f"{where}: {self.what}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.hint:
            text += f"; {self.hint}"
        return text
