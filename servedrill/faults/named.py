"""Faults by name: what a file can ask for, with which parameters, and what a stack needs for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from servedrill.faults import container, network, process, serving, streams
from servedrill.faults.dns import DnsChange
from servedrill.faults.fault import Fault
from servedrill.faults.memory import MemoryBallast

_STANDARD = {"str": str, "int": int, "float": float, "bool": bool}
_REACH = inspect.Parameter("reach", inspect.Parameter.KEYWORD_ONLY, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFault:
    """``make(stack, target, **parameters)`` is the fault, not yet injected."""

    name: str
    make: Callable[..., Fault]
    needs: str
    """The capability that a stack has to have; with ``:`` and a part where that is the target's group."""

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """What stands under ``with``, by name."""
        given = inspect.signature(self.make).parameters.values()
        found = {one.name: one for one in given if one.kind is one.KEYWORD_ONLY}
        if any(one.kind is one.VAR_KEYWORD for one in given):
            found |= {
                name: _REACH.replace(name=name, annotation=kind) for name, kind in network.Reach.__annotations__.items()
            }
        return found

    def mistakes(self, given: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """Parameter -> what is wrong with it and what was expected; a missing one too."""
        known, found = self.parameters, dict[str, tuple[str, str]]()
        for name, value in given.items():
            if name not in known:
                found[name] = ("unknown parameter", f"one of {', '.join(known)}" if known else "none")
            elif (expected := _kind(known[name])) and not _fits(value, expected):
                found[name] = (f"{value!r}", f"a value of type {expected.__name__}")
        for name, one in known.items():
            if one.default is one.empty and name not in given:
                found[name] = ("is missing", _kind_said(one))
        return found


def _kind(parameter: inspect.Parameter) -> type | None:
    """None for what is no plain value."""
    return _STANDARD.get(str(parameter.annotation).split(" | ")[0])


def _kind_said(parameter: inspect.Parameter) -> str:
    kind = _kind(parameter)
    return f"a value of type {kind.__name__}" if kind else "a value"


def _fits(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _without_address(stack: Any, gateway: str) -> Fault:
    return DnsChange(stack, [address for name, address in stack.addresses().items() if name != gateway])


_PROXIED = (
    *("latency", "bandwidth", "slow_close", "black_hole", "silence_then_close", "connection_reset", "slicer"),
    "limit_data",
)
_STREAMS = (
    *("http_status", "rate_limited", "unavailable", "internal_error", "delay_headers", "delay_first_token"),
    *("token_rate", "stall_stream", "cut_stream", "drop_done", "idle_close", "drop_event", "repeat_event"),
    *("corrupt_event", "error_event", "swap_model"),
)
NAMED: dict[str, NamedFault] = {
    one.name: one
    for one in (
        *(NamedFault(name=name, make=getattr(network, name), needs="Proxied") for name in _PROXIED),
        *(NamedFault(name=name, make=getattr(streams, name), needs="Proxied") for name in _STREAMS),
        NamedFault(name="down", make=network.Down, needs="Proxied"),
        NamedFault(name="kill", make=process.ProcessKill, needs="Signallable"),
        NamedFault(name="freeze", make=process.ProcessPause, needs="Signallable"),
        NamedFault(name="restart", make=process.ProcessRestart, needs="Signallable"),
        NamedFault(name="sleep", make=serving.EngineSleep, needs="Sleepable"),
        NamedFault(name="memory_ballast", make=MemoryBallast, needs="MemoryLimited"),
        NamedFault(name="network_cut", make=container.NetworkCut, needs="Containerised"),
        NamedFault(name="container_pause", make=container.ContainerPause, needs="Containerised"),
        NamedFault(name="withdraw_address", make=_without_address, needs="Named"),
    )
}
"""Name -> fault. Parameters are those of the Python ones, with the same names and units."""
