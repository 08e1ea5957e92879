"""All checkers, imported so that a history can name them, and those that every history is judged by."""

from __future__ import annotations

from servedrill.checkers import answered, conservation, failover, integrity, recovery, replicas, retries, swap, validity
from servedrill.checkers.checker import REGISTRY, Checker, find_checker
from servedrill.errors import UsageError
from servedrill.files.meant import meant

MODULES = (answered, conservation, failover, integrity, recovery, replicas, retries, swap, validity)

ALWAYS: tuple[Checker, ...] = (
    validity.RanToItsEnd(),
    validity.FaultsTookEffect(),
    validity.FaultsHealed(),
    validity.LoadKeptSchedule(),
    validity.TrafficFlowed(),
    validity.SignalsHadData(),
    integrity.TokenExact(),
)
WHERE_NOT_ALL_IS_KNOWN = validity.HistoryKnown()
"""Judged only of a history with something in it that this version cannot read."""


def names() -> list[str]:
    """Every checker that there is."""
    return sorted(REGISTRY)


def require_declarable(name: str, *, where: str) -> None:
    """Raise `UsageError` for a checker that there is not, or whose claim no stack can do without."""
    if any(checker.id == name for checker in (*ALWAYS, WHERE_NOT_ALL_IS_KNOWN)):
        raise UsageError(f"{name} is always judged", where=where, expected="a checker that a drill asks for")
    if find_checker(name) is None:
        raise UsageError(
            f"no checker {name!r}",
            where=where,
            expected="a name from docs/drills.md",
            hint=meant(name, names()),
        )
