"""How long a stack's processes waited for a core while others had them."""

from __future__ import annotations

from servedrill.history.events import CpuWaits

OWN_SHARE_MIN = 0.7
"""Of the cores: a stack that uses so much waits for itself. Alone on two cores the embedded one uses 0.2 to 0.44."""


def waited_most(look: CpuWaits) -> tuple[str, float]:
    """The process of the stack that waited longest, and the share of the time; what a hypervisor took is added.

    Nothing where the stack itself had most of the cores: it waited for itself then, which is its own doing.
    """
    name = max(look.waited_s, key=look.waited_s.__getitem__, default="")
    whole_s = look.span_s * look.cores
    if not name or whole_s <= 0 or sum(look.ran_s.values()) >= OWN_SHARE_MIN * whole_s:
        return name, 0.0
    return name, min(1.0, look.waited_s[name] / look.span_s + look.stolen_s / whole_s)
