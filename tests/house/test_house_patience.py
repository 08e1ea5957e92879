"""Tests have patience: no deadline of a wait is so short that a busy machine comes to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
LEAST_S = 30
"""A condition that comes is seen at once; what is waited for in vain may take this long to be told."""


def waits(source: str) -> Iterator[tuple[int, float]]:
    """Line and seconds of each wait for a condition whose deadline is written down, and no error expected."""
    tree = ast.parse(source)
    expected = {
        inner
        for block in ast.walk(tree)
        if isinstance(block, ast.With) and any("pytest.raises" in ast.unparse(item) for item in block.items)
        for statement in block.body
        for inner in ast.walk(statement)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and call not in expected:
            name = ast.unparse(call.func).rpartition(".")[2]
            within = next((keyword.value for keyword in call.keywords if keyword.arg == "within_s"), None)
            if name in ("wait_for", "wait_done") and isinstance(within, ast.Constant):
                assert isinstance(within.value, int | float)
                yield call.lineno, within.value


def test_a_wait_for_a_condition_has_patience() -> None:
    """How fast something is no test asks of a machine that others use, too."""
    short = [
        f"{path.relative_to(TESTS)}:{line}: {seconds} s"
        for path in sorted(TESTS.rglob("*.py"))
        for line, seconds in waits(path.read_text())
        if seconds < LEAST_S
    ]
    assert short == []


def test_a_short_wait_is_found() -> None:
    """But where the test is about a wait in vain."""
    source = (
        "wait_for(ready, what='it', within_s=5)\nwith pytest.raises(NotInTime):\n    load.wait_done(within_s=0.1)\n"
    )
    assert list(waits(source)) == [(1, 5)]
