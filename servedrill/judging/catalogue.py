"""All checkers, imported so that a history can name them, and those that every history is judged by."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from servedrill import checkers
from servedrill.checkers import integrity, validity
from servedrill.checkers.checker import REGISTRY, Checker, find_checker
from servedrill.errors import UsageError
from servedrill.files.meant import meant

MODULES = tuple(import_module(f"{checkers.__name__}.{one.name}") for one in pkgutil.iter_modules(checkers.__path__))
"""Every module of the room: a new one is found."""

ALWAYS: tuple[Checker, ...] = (
    validity.RanToItsEnd(),
    validity.FaultsTookEffect(),
    validity.FaultsHealed(),
    validity.LoadKeptSchedule(),
    validity.TrafficFlowed(),
    validity.SignalsHadData(),
    integrity.TokenExact(),
)
WHERE_CORES_ARE_SEEN = validity.StackNotStarved()
"""Judged only of a history that tells how long processes waited for a core: of a stack on this machine."""
WHERE_NOT_ALL_IS_KNOWN = validity.HistoryKnown()
"""Judged only of a history with something in it that this version cannot read."""


def names() -> list[str]:
    """Every checker that there is."""
    return sorted(REGISTRY)


def require_declarable(name: str, *, where: str) -> None:
    """Raise `UsageError` for a checker that there is not, or whose claim no stack can do without."""
    if any(checker.id == name for checker in (*ALWAYS, WHERE_CORES_ARE_SEEN, WHERE_NOT_ALL_IS_KNOWN)):
        raise UsageError(f"{name} is always judged", where=where, expected="a checker that a drill asks for")
    if find_checker(name) is None:
        raise UsageError(
            f"no checker {name!r}",
            where=where,
            expected="a name from docs/drills.md",
            hint=meant(name, names()),
        )
