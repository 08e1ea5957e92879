"""A figure of a fault that makes no sense is wrong usage, before anything is asked or broken.

The figures are found in the signatures, so that a new one is covered by being there.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

import pytest

from servedrill.errors import UsageError
from servedrill.faults import network, streams

SENSIBLE: dict[str, Any] = {"status": 503, "tokens_per_s": 5.0}
"""Where a figure has no default; the others are 5."""


def faults() -> dict[str, Callable[..., Any]]:
    """Each function that makes a toxic."""
    found = {}
    for module in (network, streams):
        for name, one in vars(module).items():
            own = inspect.isfunction(one) and one.__module__ == module.__name__ and not name.startswith("_")
            if own and "hop" in inspect.signature(one).parameters:
                found[name] = one
    return found


def figures(fault: Callable[..., Any]) -> Iterator[str]:
    """Names of its parameters that are numbers."""
    hints = get_type_hints(fault)
    for name, parameter in inspect.signature(fault).parameters.items():
        if hints.get(name) in (int, float):
            yield name
        if parameter.kind is parameter.VAR_KEYWORD:
            yield "toxicity"


class Untouched:
    """A stack that nobody asks for anything."""

    def __getattr__(self, name: str) -> Any:
        pytest.fail(f"the stack was asked for its {name}")


CASES = [(name, figure) for name, fault in faults().items() for figure in figures(fault)]


@pytest.mark.parametrize(("name", "figure"), CASES)
def test_a_figure_that_makes_no_sense_is_wrong_usage(name: str, figure: str) -> None:
    """Below nothing, beyond all, and what is no number."""
    fault = faults()[name]
    needed = {
        other: SENSIBLE.get(other, 5)
        for other, parameter in inspect.signature(fault).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    }
    for value in (-1, math.nan, math.inf, -math.inf, 10**30):
        with pytest.raises(UsageError, match=f"{figure} is "):
            fault(Untouched(), "hop", **{**needed, figure: value})


def test_all_of_them_are_looked_at() -> None:
    """Every toxic has a share of connections at least."""
    assert len(faults()) >= 18
    assert {name for name, figure in CASES if figure == "toxicity"} >= {"latency", "cut_stream", "http_status"}
