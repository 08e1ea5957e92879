"""All checkers, imported so that a history can name them, and those that every history is judged by."""

from __future__ import annotations

from servedrill.checkers import answered, conservation, failover, integrity, recovery, replicas, retries, swap, validity
from servedrill.checkers.checker import REGISTRY, Checker

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


def names() -> list[str]:
    """Every checker that there is."""
    return sorted(REGISTRY)
