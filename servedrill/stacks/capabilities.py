"""Capabilities by name: how a drill asks for what it needs, and learns why a stack lacks it.

A capability is a protocol. Whether a stack has it is ``isinstance``, and what its file leaves out: a stack tells that
in ``lacks``, a mapping from the name of a capability to a reason. A package of its own may `register` another one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from servedrill.errors import UsageError
from servedrill.files.meant import meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """``protocol`` is what the stack has to be; a part of it is asked for as ``Name:part``."""

    protocol: Any
    """Its name is the capability's."""
    parts: Collection[str] | None = ()
    """Parts that can be asked for; None: any."""
    missing: Callable[[Any], str] | None = None
    """Why a stack with these methods lacks it, asked before it is up; empty where it does not."""
    missing_part: Callable[[Any, str], str] | None = None
    """The same of a stack that is up, and of the part asked for, which is empty for the whole."""


_known: dict[str, Capability] = {}


def register(capability: Capability) -> None:
    """Make it known. Raises `ValueError` where another one has its name."""
    name = capability.protocol.__name__
    if _known.setdefault(name, capability).protocol is not capability.protocol:
        raise ValueError(f"there is a capability {name!r} already: {_known[name].protocol!r}")


def require_known(capability: str) -> Capability:
    """What is registered under a name, with or without a part. Raises `UsageError` where that is nothing."""
    name, _, part = capability.partition(":")
    found = _known.get(name)
    if found is None or (part and found.parts is not None and part not in found.parts):
        parts = [f"{name}:{one}" for one in found.parts or ()] if found else []
        raise UsageError(
            f"no capability {capability!r}",
            where="needs",
            expected="a protocol of servedrill.stacks.protocols",
            hint=meant(capability, [*_known, *parts]),
        )
    return found


def known_to_lack(stack: Any, capability: str) -> str:
    """As `lacking`, of a stack that is not up yet: what its kind and its file say."""
    found = require_known(capability)
    name = found.protocol.__name__
    reason: str = getattr(stack, "lacks", {}).get(name, "")
    if reason:
        return reason
    if not isinstance(stack, found.protocol):
        return f"stack {stack.name!r} is not {name}"
    return found.missing(stack) if found.missing else ""


def lacking(stack: Any, capability: str) -> str:
    """Why the stack, which is up, lacks what a drill needs; empty where it has it.

    Raises `UsageError` for what nobody knows.
    """
    reason = known_to_lack(stack, capability)
    if reason:
        return reason
    found, part = require_known(capability), capability.partition(":")[2]
    return found.missing_part(stack, part) if found.missing_part else ""
