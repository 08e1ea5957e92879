"""How a history begins: which drill, on which stack, what that promises and how it talks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from servedrill._version import __version__
from servedrill.history.events import FORMAT, DeclaredWeakness, DialectSeen, DrillStarted
from servedrill.history.promises import made
from servedrill.host.clock import now_ns
from servedrill.stacks.protocols import Stack


def beginning(
    stack: Stack,
    *,
    name: str,
    hypothesis: str,
    seed: int,
    control: bool = False,
    defects: Sequence[str] = (),
    weaknesses: Sequence[DeclaredWeakness] = (),
) -> tuple[DrillStarted, DialectSeen]:
    """Of a stack that is up."""
    started = DrillStarted(
        t_ns=now_ns(),
        format=FORMAT,
        version=__version__,
        drill=name,
        hypothesis=hypothesis,
        seed=seed,
        control=control,
        wall_time=datetime.now(UTC).isoformat(),
        stack=stack.name,
        promises=made(stack.promises),
        defects=list(defects),
        weaknesses=list(weaknesses),
    )
    spoken = stack.spoken
    heard = DialectSeen(
        t_ns=now_ns(), dialect=msgspec.to_builtins(spoken.dialect), pinned=spoken.pinned, notes=spoken.notes
    )
    return started, heard
