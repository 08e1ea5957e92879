"""From a stack file to a running stack and back, with the undo of everything on disk before it is made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from servedrill.control.direct import reach_directly
from servedrill.errors import StackError
from servedrill.leases.keeper import UndoKeeper
from servedrill.stacks.capabilities import known_to_lack
from servedrill.stacks.file import StackFile
from servedrill.stacks.kinds import StartableStack, kind_named


def make_stack(
    file: StackFile, folder: Path, *, on_undo: UndoKeeper, defects: list[str], seed: int, limit_memory: bool
) -> StartableStack:
    """The stack that the file describes, not started: what it lacks can be asked before anything is.

    Raises `UsageError` for a kind that nobody knows, `StackError` for defects of a stack that takes none.
    """
    kind = kind_named(file.kind, where=file.path)
    if defects and not kind.takes_defects:
        raise StackError("defects are for the embedded stack only", where=file.path, expected="none with it")
    return kind.make(
        file,
        folder,
        defects=[_absolute(defect) for defect in defects],
        seed=seed,
        on_undo=on_undo,
        limit_memory=limit_memory,
    )


@contextlib.contextmanager
def stack_up(
    file: StackFile,
    folder: Path,
    *,
    on_undo: UndoKeeper,
    defects: list[str],
    seed: int,
    limit_memory: bool,
    needs: Sequence[str] = (),
) -> Iterator[Any]:
    """The stack (of whatever powers) is up inside the block, and gone after it.

    One that is known to lack what is needed is not started.
    """
    reach_directly("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
    stack = make_stack(file, folder, on_undo=on_undo, defects=defects, seed=seed, limit_memory=limit_memory)
    lacks = any(known_to_lack(stack, capability) for capability in needs)
    try:
        if not lacks:
            stack.up()
        yield stack
    finally:
        stack.down()


def _absolute(defect: str) -> str:
    """A defect's file by its full path, so that it is found wherever a process of the stack runs."""
    where, _, name = defect.rpartition(":")
    return f"{Path(where).resolve()}:{name}" if where.endswith(".py") else defect
