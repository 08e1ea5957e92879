"""The shipped drills name their classes of requests in a way that an id can carry: a drill that does not is found here,
and not after a minute of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from servedrill.drill import traffic

ROOT = Path(__file__).parents[2]
MAKERS = {name for name, one in vars(traffic).items() if callable(one) and one.__module__ == traffic.__name__}


def names(source: str) -> Iterator[str]:
    """What calls of the functions that make a class say it is called."""
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in MAKERS:
            for keyword in call.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    yield str(keyword.value.value)


def test_every_class_of_a_shipped_drill_has_a_name_that_an_id_can_carry() -> None:
    """As its class asks when the traffic starts."""
    found = [name for path in sorted((ROOT / "drills").glob("*.py")) for name in names(path.read_text())]
    assert found
    for name in found:
        traffic.chat(rate=1, name=name, model="m").check()


def test_what_is_named_is_found() -> None:
    """However it stands in the drill."""
    assert list(names('drill.load(burst(15, over_s=0.02, name="at once"), chat(rate=1))')) == ["at once"]
