"""A drill that breaks by itself, or is interrupted: what is told, and that nothing of it is held against the stack."""

from __future__ import annotations

import pytest

from tests.worlds import named
from tests.worlds.paper import run_drills

pytest_plugins = ["pytester"]
BROKEN = """
import pytest

@pytest.fixture
def torn(drill):
    raise KeyError("lost")

@pytest.fixture
def left(drill):
    yield
    raise KeyError("left")

def test_holds(drill):
    {}["lost"]

def test_holds_not(torn):
    pass

def test_holds_until(left):
    pass
"""


@pytest.mark.parametrize(
    ("more", "status"),
    [("", 6), ("def test_plain():\n    pass\n", 6), ("def test_fails(drill):\n    pass\n", 1),
     ("def test_plain():\n    assert 0\n", 1), ("def test_holds_more(drill):\n    assert 0\n", 1)],
)  # fmt: skip
def test_an_error_in_a_drill_is_no_word_about_the_stack(pytester: pytest.Pytester, more: str, status: int) -> None:
    """A bug, in the drill or in this tool: its traceback, a line that says so and 6; an assertion is a claim."""
    pytester.makepyfile(test_it=BROKEN + more)
    result = run_drills(pytester, plugins=[named])
    assert result.ret == status
    lines = [line for line in result.outlines if line.startswith("INCONCLUSIVE: ")]
    assert [line.endswith("not the stack's doing") for line in lines] == [True] * 3
    assert "KeyError: 'lost'" in lines[0] and "E       KeyError: " in result.stdout.str()


class Noting:
    """How long the traceback is from which pytest draws what it shows in the end."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    @pytest.hookimpl(trylast=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.lengths.append(len(excinfo.traceback))


@pytest.mark.parametrize(("more", "long"), [((), False), (("--full-trace",), True)])
def test_an_interrupt_is_not_drawn_for_seconds(pytester: pytest.Pytester, more: tuple[str, ...], long: bool) -> None:
    """pytest draws the sources of every frame of it, and shows its last line: only that is left, unless all is asked
    for."""
    pytester.makepyfile(test_it="def test_holds(drill):\n    raise KeyboardInterrupt\n")
    noting = Noting()
    result = run_drills(pytester, *more, plugins=[named, noting])  # type: ignore[list-item]
    assert result.ret == 2
    assert [length > 1 for length in noting.lengths] == [long]
    result.stdout.fnmatch_lines(["*test_it.py:2: KeyboardInterrupt"])
