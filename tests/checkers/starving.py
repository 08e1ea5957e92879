"""Made-up looks at how long a stack's processes waited for a core."""

from __future__ import annotations

from made_up import END_S, Events, at

from servedrill.history import events as e


def waits(share: float, *, own: float = 0.3, start: int = 1, end: int = int(END_S)) -> Events:
    """A look each second at how long the stack's processes waited for a core; ``own``: what it had of the cores."""
    return [
        e.CpuWaits(
            t_ns=at(second),
            span_s=1.0,
            cores=2,
            waited_s={"engine-0": share, "gateway-0": share / 4},
            ran_s={"engine-0": own * 2, "gateway-0": 0.0},
        )
        for second in range(start, end)
    ]
