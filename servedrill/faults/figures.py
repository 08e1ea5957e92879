"""Figures of faults that make no sense are wrong usage, before anything is asked or broken."""

from __future__ import annotations

from servedrill.errors import UsageError

FIGURE_MAX = 1e15
"""Beyond it are infinities, what is no number, and slips of the hand."""
SECONDS_MAX = 1e7


def at_least(least: float, **given: float) -> None:
    """Raise `UsageError` for a figure below ``least``, and for one that is none: a fault of nothing is none."""
    for name, value in given.items():
        if not least <= value <= FIGURE_MAX:
            raise UsageError(f"{name} is {value:g}", where="fault", expected=f"{least:g} or more")


def status_of_http(status: int) -> None:
    """Raise `UsageError` for one that no answer has."""
    if not 200 <= status <= 599:
        raise UsageError(f"status is {status:g}", where="fault", expected="200 to 599")


def share(**given: float) -> None:
    """Raise `UsageError` for a figure that is no share: 0 to 1."""
    for name, value in given.items():
        if not 0 <= value <= 1:
            raise UsageError(f"{name} is {value:g}", where="fault", expected="0 to 1")


def time_s(**given: float | None) -> None:
    """Raise `UsageError` for what is no time to wait: above 0, four months at most; None leaves it to the stack."""
    for name, value in given.items():
        if value is not None and not 0 < value <= SECONDS_MAX:
            raise UsageError(f"{name} is {value:g}", where="fault", expected=f"above 0 and {SECONDS_MAX:g} at most")


def whole(least: int, most: int, **given: float) -> None:
    """Raise `UsageError` for what is no whole number in these bounds."""
    for name, value in given.items():
        if not least <= value <= most or value != int(value):
            raise UsageError(f"{name} is {value:g}", where="fault", expected=f"a whole number, {least} to {most}")
