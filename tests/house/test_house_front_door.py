"""The front door: one place to import from, for whoever writes drills; each name is there when it is asked for, and
costs nothing before."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import servedrill
from servedrill.checkers import checker

ROOT = Path(__file__).parents[2]


def deep_imports(path: Path) -> list[str]:
    """Rooms that a file imports from, past the front door."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = [
        node.module or "" if isinstance(node, ast.ImportFrom) else name.name for node in found for name in node.names
    ]
    return [module for module in modules if module.startswith("servedrill.")]


def test_every_name_is_there_once() -> None:
    """As the stub has them, which is what type checkers read; ruff keeps their order."""
    stub = ast.parse((ROOT / "servedrill/__init__.pyi").read_text())
    written = [
        ast.literal_eval(node.value)
        for node in stub.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    names = servedrill.__all__
    assert [sorted(names)] == [sorted(one) for one in written] and len(names) == len(set(names))
    for name in names:
        assert getattr(servedrill, name) is not None
    assert set(names) <= set(dir(servedrill))


def test_what_is_not_there_is_said() -> None:
    """By the error that Python has for it."""
    assert not hasattr(servedrill, "Nonsense")


def test_every_check_that_a_drill_may_ask_for_is_there() -> None:
    """But those that are asked always."""
    for name, kind in checker.REGISTRY.items():
        if kind.__module__.startswith("servedrill.checkers.") and not kind.__module__.endswith(".validity"):
            assert name in servedrill.__all__, f"{name} of {kind.__module__} is not in servedrill/__init__.pyi"


def test_shipped_drills_and_the_example_go_through_it() -> None:
    for path in [*(ROOT / "drills").glob("test_*.py"), ROOT / "tests/typing/api.py"]:
        assert deep_imports(path) == [], path


def test_who_imports_the_package_loads_no_room() -> None:
    """Each of the many processes of a run does."""
    script = "import sys, servedrill; print([m for m in sys.modules if m.startswith('servedrill.')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_everything_that_is_public_is_documented() -> None:
    """Classes and functions say in a sentence what they are."""
    for name in servedrill.__all__:
        value = getattr(servedrill, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name
