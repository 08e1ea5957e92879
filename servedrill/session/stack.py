"""A stack that is up under the eyes of a watchdog: whatever it makes is ended, also when this process is killed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from servedrill.host.machine import told_in_one_line
from servedrill.leases.guard import Guard
from servedrill.leases.keeper import StackKeeper, UndoKeeper
from servedrill.stacks.file import StackFile
from servedrill.stacks.lifecycle import stack_up
from servedrill.stacks.protocols import Stack


class BringUp(Protocol):
    """Has the stack up inside a block and gone after it, as `servedrill.stacks.lifecycle.stack_up`."""

    def __call__(
        self,
        file: StackFile,
        folder: Path,
        *,
        on_undo: UndoKeeper,
        defects: list[str],
        seed: int,
        limit_memory: bool,
        needs: Sequence[str] = (),
    ) -> AbstractContextManager[Stack]:
        """``on_undo`` is told of all that has to be ended, before it is made.

        A stack that is known to lack any of ``needs`` is not started.
        """


@contextlib.contextmanager
def guarded_stack(
    file: StackFile,
    folder: Path,
    guard: Guard,
    *,
    defects: list[str],
    seed: int,
    needs: Sequence[str] = (),
    uses: Sequence[str] = (),
    bring_up: BringUp = stack_up,
) -> Iterator[Stack]:
    """The stack is up inside the block and gone after it; logs go into ``folder``.

    ``needs``: capabilities without which it need not be started; ``uses``: those that it is prepared for where it has
    them. Raises `StackError` for a stack that does not come up, `Unwatched` where the watchdog is gone by then.
    """
    with contextlib.closing(StackKeeper(guard)) as keeper:
        limit_memory = "MemoryLimited" in (*needs, *uses)
        coming = bring_up(
            file, folder, on_undo=keeper, defects=defects, seed=seed, limit_memory=limit_memory, needs=needs
        )
        with contextlib.ExitStack() as up:
            try:
                with told_in_one_line(f"stack {file.name!r} could not be started"):
                    stack = up.enter_context(coming)
            except Exception:
                guard.check()  # the stack may have been ended behind our back
                raise
            yield stack
