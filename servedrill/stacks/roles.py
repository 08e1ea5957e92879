"""Roles: what a replica is called, and what it does for an answer.

A role is any word. What a replica ``serves`` says what can be asked of it, whatever it is called: a cache, a router or
an edge node has a name of its own, and does some of what an engine or a gateway does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Service = Literal["tokens", "routing", "prefill", "decode"]
"""Generates tokens; sends requests on; computes prompts; computes what comes after them."""

ENGINE, GATEWAY = "engine", "gateway"
OTHER = "other"
"""Runs beside the stack, and is no replica."""

_USUAL: dict[str, frozenset[Service]] = {
    ENGINE: frozenset({"tokens", "prefill", "decode"}),
    GATEWAY: frozenset({"routing"}),
}


def served_by(role: str, said: Iterable[Service] = ()) -> frozenset[Service]:
    """What a replica serves: what is said of it, else what its role usually does; nothing for an unknown role."""
    return frozenset(said) or _USUAL.get(role, frozenset())
