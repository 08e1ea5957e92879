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
WHERE_UNWATCHED = validity.DrillWatched()
"""Judged only of a history that says that its drill was not, or has no end: what was refuted may be our own doing."""
WHERE_NOT_ALL_IS_KNOWN = validity.HistoryKnown()
"""Judged only of a history with something in it that this version cannot read."""
_NEVER_ASKED_FOR = (*ALWAYS, WHERE_CORES_ARE_SEEN, WHERE_UNWATCHED, WHERE_NOT_ALL_IS_KNOWN)


def names() -> list[str]:
    """Every checker that there is."""
    return sorted(REGISTRY)


def require_declarable(check: str, *, where: str) -> None:
    """Raise `UsageError` for a check of a weakness whose checker there is not, or whose claim no stack can do without.

    ``check``: a checker's name or id, ``:`` and a window behind it or not.
    """
    try:
        cls = find_checker(check) or find_checker(check.rpartition(":")[0])
    except Exception as error:
        what = f"{check} cannot be loaded: {type(error).__name__}: {error}"
        raise UsageError(what, where=where, expected="a package whose checkers can be imported") from error
    if cls is None:
        raise UsageError(
            f"no checker {check!r}",
            where=where,
            expected="a name from docs/drills.md or module:Class of an installed package, with or without :window",
            hint=meant(check.partition(":")[0], names()),
        )
    if any(
        type(checker) is cls for checker in (*ALWAYS, WHERE_CORES_ARE_SEEN, WHERE_UNWATCHED, WHERE_NOT_ALL_IS_KNOWN)
    ):
        raise UsageError(f"{cls.id} is always judged", where=where, expected="a checker that a drill asks for")
