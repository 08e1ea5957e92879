"""The policies of the stack: small classes, each the one place where one thing can be done wrong.

A healthy policy carries its slot as ``policy = "retry"``. A defect is a class with the same slot, usually a subclass
that overrides one method. ``--drill-defect package.module:Class`` (or ``path/file.py:Class``) puts it in place.
docs/defects.md tells, for every slot, its protocol and what a defect may see and change.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HEALTHY: dict[str, str] = {
    # engine, API server
    "validation": "servedrill.refstack.engine.validation:Validation",
    "engine_admission": "servedrill.refstack.engine.admission:QueueLimit",
    "engine_abort": "servedrill.refstack.engine.abort:AbortOnDisconnect",
    "readiness": "servedrill.refstack.engine.readiness:Readiness",
    "engine_drain": "servedrill.refstack.engine.drain:Drain",
    "frames": "servedrill.refstack.engine.frames:Frames",
    "swap": "servedrill.refstack.engine.swap:DrainThenSwap",
    # engine, core
    "block_manager": "servedrill.refstack.engine.kv_cache:BlockManager",
    "prefix_cache": "servedrill.refstack.engine.prefix_cache:PrefixCache",
    "scheduler": "servedrill.refstack.engine.scheduler:ContinuousBatching",
    "core_abort": "servedrill.refstack.engine.core_abort:ReleaseAtOnce",
    "sampler": "servedrill.refstack.engine.sampler:Sampler",
    "weights": "servedrill.refstack.engine.weights:Weights",
    "gauges": "servedrill.refstack.engine.gauges:RefreshAlways",
    # gateway
    "gateway_admission": "servedrill.refstack.gateway.admission:BoundedQueue",
    "quota": "servedrill.refstack.gateway.quota:TokenQuota",
    "balancer": "servedrill.refstack.gateway.balancer:LeastInFlight",
    "health": "servedrill.refstack.gateway.health:ActiveHealth",
    "outlier": "servedrill.refstack.gateway.outlier:SlowOutlier",
    "breaker": "servedrill.refstack.gateway.breaker:CircuitBreaker",
    "retry": "servedrill.refstack.gateway.retry:FullJitterRetry",
    "retry_budget": "servedrill.refstack.gateway.retry:RetryBudget",
    "timeouts": "servedrill.refstack.gateway.timeouts:Timeouts",
    "upstream_cancel": "servedrill.refstack.gateway.cancel:CancelUpstream",
    "stream_resume": "servedrill.refstack.gateway.resume:TokenExactResume",
    "gateway_drain": "servedrill.refstack.gateway.drain:Drain",
    "keep_alive": "servedrill.refstack.gateway.keep_alive:ShorterThanPeer",
    "aliases": "servedrill.refstack.gateway.aliases:Aliases",
    "idempotency": "servedrill.refstack.gateway.idempotency:IdempotencyKeys",
    "in_flight": "servedrill.refstack.gateway.in_flight:InFlight",
    "error_body": "servedrill.refstack.gateway.error_body:OpenAIErrors",
    # control
    "restart": "servedrill.refstack.control.restart:RestartWhenGone",
    "canary": "servedrill.refstack.control.canary:Canary",
    "dns_health": "servedrill.refstack.control.dns_health:DnsHealth",
    "alert_rules": "servedrill.refstack.control.alert_rules:AlertRules",
}


class BadDefect(Exception):
    """A ``--drill-defect`` that cannot be used; the message says what, where and what was expected."""


class Policies:
    """Which class stands in each slot."""

    def __init__(self, defects: Iterable[str] = ()) -> None:
        self._replaced: dict[str, type[Any]] = {}
        for spec in defects:
            cls = load_class(spec)
            slot = getattr(cls, "policy", None)
            if not isinstance(slot, str) or slot not in HEALTHY:
                slots = ", ".join(sorted(HEALTHY))
                raise BadDefect(f"defect {spec}: policy = {slot!r}; expected a class whose `policy` is one of {slots}")
            if slot in self._replaced:
                taken = f"slot {slot!r} is already taken by {self._replaced[slot].__name__}"
                raise BadDefect(f"defect {spec}: {taken}; expected one defect a slot")
            self._replaced[slot] = cls

    def make(self, slot: str, *args: Any, **kwargs: Any) -> Any:
        """An instance of the class in ``slot``; every class of a slot is called with the same arguments."""
        cls = self._replaced.get(slot) or load_class(HEALTHY[slot])
        return cls(*args, **kwargs)


def load_class(spec: str) -> type[Any]:
    """The class named by ``package.module:Class`` or ``path/file.py:Class``. Raises `BadDefect`."""
    where, colon, name = spec.rpartition(":")
    if not colon or not name.isidentifier():
        raise BadDefect(f"defect {spec!r}: expected package.module:Class or path/file.py:Class")
    try:
        module = _load_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except (Exception, SystemExit) as error:  # a script ends its process, which is ours
        ends = f"it ends the process, with {error.code!r}" if isinstance(error, SystemExit) else ""
        why = " ".join((ends or str(error) or type(error).__name__).split())
        raise BadDefect(f"defect {spec!r}: {where} cannot be imported: {why}") from error
    cls = getattr(module, name, None)
    if not isinstance(cls, type):
        there = ", ".join(
            sorted(key for key, value in vars(module).items() if isinstance(value, type) and hasattr(value, "policy"))
        )
        raise BadDefect(
            f"defect {spec!r}: no class {name} in {where}; expected one of: {there or 'none there has a `policy`'}"
        )
    return cls


def _load_file(path: Path) -> Any:
    path = path.resolve()
    if not path.is_file():
        raise ImportError(f"no such file: {path}")
    name = f"_defect_{path.stem}_{abs(hash(str(path)))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
