"""Tests have patience: no deadline of a wait is so short that a busy machine comes to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
LEAST_S = {"wait_for": 30, "wait_done": 30, "subprocess.run": 120, "communicate": 120}
"""What waits -> seconds: a condition that comes is seen at once, what is waited for in vain may take this long to be
told. A command may be a whole session of drills."""


def short_waits(source: str) -> Iterator[tuple[int, float]]:
    """Line and seconds of each wait that is too short, if no error is expected of it."""
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
            name = ast.unparse(call.func)
            least_s = LEAST_S.get(name, LEAST_S.get(name.rpartition(".")[2], 0))
            for keyword in call.keywords:
                if keyword.arg in ("within_s", "timeout") and isinstance(keyword.value, ast.Constant):
                    seconds = keyword.value.value
                    if isinstance(seconds, int | float) and seconds < least_s:
                        yield call.lineno, seconds


def test_a_wait_for_a_condition_has_patience() -> None:
    """How fast something is no test asks of a machine that others use, too."""
    short = [
        f"{path.relative_to(TESTS)}:{line}: {seconds} s"
        for path in sorted(TESTS.rglob("*.py"))
        for line, seconds in short_waits(path.read_text())
    ]
    assert short == []


def test_a_short_wait_is_found() -> None:
    """But where the test is about a wait in vain."""
    source = (
        "wait_for(ready, what='it', within_s=5)\n"
        "with pytest.raises(NotInTime):\n    load.wait_done(within_s=0.1)\n"
        "subprocess.run(command, timeout=60)\n"
        "wait_for(ready, what='it', within_s=30)\n"
    )
    assert list(short_waits(source)) == [(1, 5), (4, 60)]
