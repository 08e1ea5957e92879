"""Roles: what a replica is called, and what it does for an answer.

A role is any word. What a replica ``serves`` says what can be asked of it, whatever it is called: a cache, a router or
an edge node has a name of its own, and does some of what an engine or a gateway does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

Service = Literal["tokens", "routing", "prefill", "decode"]
"""Generates tokens; sends requests on; computes prompts; computes what comes after them."""

ENGINE, GATEWAY = "engine", "gateway"
OTHER = "other"
"""Runs beside the stack, and is no replica."""

_USUAL: dict[str, frozenset[Service]] = {
    ENGINE: frozenset({"tokens", "prefill", "decode"}),
    GATEWAY: frozenset({"routing"}),
}


class HasRole(Protocol):
    """What has a name and a role."""

    @property
    def name(self) -> str:
        """Another one for each."""

    @property
    def role(self) -> str:
        """Any word."""


def grouped(named: Iterable[HasRole]) -> dict[str, list[str]]:
    """The hops that can be asked for together: ``gateways``, ``engines``, and the same of any other role."""
    groups: dict[str, list[str]] = {f"{GATEWAY}s": [], f"{ENGINE}s": []}
    for one in named:
        if one.role != OTHER:
            groups.setdefault(f"{one.role}s", []).append(one.name)
    return groups


def served_by(role: str, said: Iterable[Service] = ()) -> frozenset[Service]:
    """What a replica serves: what is said of it, else what its role usually does; nothing for an unknown role."""
    return frozenset(said) or _USUAL.get(role, frozenset())
