"""From a stack file to a running stack and back, with the undo of everything on disk before it is made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from servedrill.stacks.embedded import EmbeddedStack, OnUndo
from servedrill.stacks.file import StackFile


@contextlib.contextmanager
def stack_up(
    file: StackFile, folder: Path, *, on_undo: OnUndo, defects: list[str], seed: int, limit_memory: bool
) -> Iterator[EmbeddedStack]:
    """The stack is up inside the block, and gone after it."""
    stack = EmbeddedStack(
        file,
        folder,
        defects=[_absolute(defect) for defect in defects],
        seed=seed,
        on_undo=on_undo,
        limit_memory=limit_memory,
    )
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


def _absolute(defect: str) -> str:
    """A defect's file by its full path, so that it is found wherever a process of the stack runs."""
    where, _, name = defect.rpartition(":")
    return f"{Path(where).resolve()}:{name}" if where.endswith(".py") else defect
