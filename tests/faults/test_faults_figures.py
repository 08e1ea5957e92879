"""A figure of a fault that makes no sense is wrong usage, before anything is asked or broken.

The figures are found in the signatures, so that a new one is covered by being there.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_type_hints

import pytest

from servedrill import faults as package
from servedrill.errors import UsageError
from servedrill.faults.toxic import Toxic

SENSIBLE: dict[str, Any] = {"status": 503, "tokens_per_s": 5.0}
"""Where a figure has no default; the others are 5."""


def faults() -> dict[str, Callable[..., Any]]:
    """Each function that makes a toxic, and each class that is a fault."""
    found = {}
    for file in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{file.name}")
        for name, one in vars(module).items():
            if getattr(one, "__module__", "") != module.__name__ or name.startswith("_"):
                continue
            makes = inspect.isfunction(one) and "hop" in inspect.signature(one).parameters
            if makes or (inspect.isclass(one) and hasattr(one, "inject") and not is_protocol(one)):
                found[name] = one
    return found


def is_protocol(one: type) -> bool:
    return bool(getattr(one, "_is_protocol", False))


def figures(fault: Callable[..., Any]) -> Iterator[str]:
    """Names of its parameters that are numbers."""
    hints = get_type_hints(fault.__init__ if isinstance(fault, type) else fault)
    for name, parameter in inspect.signature(fault).parameters.items():
        if any(one in (int, float) for one in (hints.get(name), *get_args(hints.get(name)))):
            yield name
        if parameter.kind is parameter.VAR_KEYWORD and not isinstance(fault, type):
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
    if fault is Toxic:
        needed = {"kind": "latency", "attributes": {}}
    for value in (-1, math.nan, math.inf, -math.inf, 10**30):
        with pytest.raises(UsageError, match=f"{figure} is "):
            fault(Untouched(), "hop", **{**needed, figure: value})


def test_all_of_them_are_looked_at() -> None:
    """Every toxic has a share of connections at least."""
    assert len(faults()) >= 18
    assert {name for name, figure in CASES if figure == "toxicity"} >= {"latency", "cut_stream", "http_status"}
    assert {name for name, fault in faults().items() if isinstance(fault, type)} >= {
        "DnsChange", "EngineSleep", "GpuBallast", "MemoryBallast", "ModelRollout", "ProcessKill",
        "ProcessPause", "Toxic",
    }  # fmt: skip
    assert {*CASES} >= {("GpuBallast", "left_bytes"), ("MemoryBallast", "headroom_bytes"), ("EngineSleep", "level")}
