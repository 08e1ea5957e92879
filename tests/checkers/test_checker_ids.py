"""How histories name checkers: ours by bare names, others with their module; nothing is imported on a file's word."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from servedrill.checkers import checker as module
from servedrill.checkers.answered import NoFailures
from servedrill.checkers.checker import Checker, find_checker, read_checker
from servedrill.errors import UsageError
from servedrill.history.events import Expected
from servedrill.judging.catalogue import require_declarable

SOURCE = """
from servedrill.checkers.checker import Checker

class Cheap(Checker, frozen=True, kw_only=True):
    "It was cheap."
    cost: int = 1
"""


def made(name: str, of: str) -> type[Checker]:
    """A checker as if a module had it."""
    space: dict[str, Any] = {"__module__": of, "__qualname__": name, "__doc__": "It is so."}
    return type(Checker)(name, (Checker,), space, frozen=True, kw_only=True)  # type: ignore[no-any-return,misc]


@pytest.fixture(autouse=True)
def registry_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(module, "REGISTRY", dict(module.REGISTRY))
    monkeypatch.setattr(module, "_BARE", dict(module._BARE))


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module with a checker that could be imported and was not."""
    (tmp_path / "stranger_checks.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "stranger_checks"
    sys.modules.pop("stranger_checks", None)


def test_another_package_never_replaces_ours() -> None:
    """Its class of the same name is found by its id, and a bare name stays what it was."""
    theirs = made("NoFailures", "elsewhere.checks")
    assert theirs.id == "elsewhere.checks:NoFailures"
    assert find_checker("NoFailures") is NoFailures
    assert find_checker(theirs.id) is theirs
    assert theirs().expected(1) == Expected(t_ns=1, checker=theirs.id)


def test_ours_takes_its_bare_name_whenever_it_comes() -> None:
    """A package that was imported before ours keeps its id only."""
    theirs, ours = made("Later", "elsewhere"), made("Later", "servedrill.checkers.later")
    assert (find_checker("Later"), find_checker("elsewhere:Later")) == (ours, theirs)


def test_the_first_of_two_other_packages_has_the_bare_name() -> None:
    """Histories that named it so are still judged by it; the second is there by its id."""
    first, second = made("Cheap", "one"), made("Cheap", "two")
    assert (find_checker("Cheap"), find_checker("one:Cheap"), find_checker("two:Cheap")) == (first, first, second)


def test_a_module_that_is_loaded_again_brings_its_new_class() -> None:
    """As a notebook or a test's reload does."""
    made("Cheap", "one")
    again = made("Cheap", "one")
    assert find_checker("Cheap") is find_checker("one:Cheap") is again


def test_two_of_ours_cannot_share_a_name() -> None:
    """Stored histories could not tell them apart."""
    with pytest.raises(
        TypeError, match=r"two checkers NoFailures: in servedrill\.checkers\.answered and in servedrill\.x"
    ):
        made("NoFailures", "servedrill.x")


def test_a_history_imports_nothing(stranger: str) -> None:
    """A module is not loaded because a file names it."""
    with pytest.raises(UsageError, match="no checker 'stranger_checks:Cheap'"):
        read_checker(Expected(t_ns=1, checker=f"{stranger}:Cheap"))
    assert stranger not in sys.modules


def test_an_installed_package_brings_its_checkers(stranger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point is the word of who installed it."""
    entry = EntryPoint("stranger", stranger, "servedrill.checkers")
    monkeypatch.setattr(module, "entry_points", lambda group: [entry] if group == "servedrill.checkers" else [])
    found = read_checker(Expected(t_ns=1, checker=f"{stranger}:Cheap", params={"cost": 3}))
    assert (type(found).id, found.cost) == (f"{stranger}:Cheap", 3)  # type: ignore[attr-defined]


@pytest.mark.parametrize("window", ["", ":storm"])
def test_a_weakness_names_any_checker(window: str) -> None:
    """Ours by its name, another package's by its id, in one window or in all."""
    theirs = made("Cheap", "elsewhere.checks")
    for check in ("NoFailures", theirs.id):
        require_declarable(f"{check}{window}", where="ours.toml: weaknesses")
    for check in ("elsewhere.checks", "elsewhere.checks:Dear", "Fly"):
        with pytest.raises(UsageError, match=f"no checker '{check}{window}'"):
            require_declarable(f"{check}{window}", where="ours.toml: weaknesses")
    with pytest.raises(UsageError, match="TokenExact is always judged"):
        require_declarable(f"TokenExact{window}", where="ours.toml: weaknesses")


def test_an_installed_package_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is told in one line."""
    entry = EntryPoint("broken", "no_such_module_at_all", "servedrill.checkers")
    monkeypatch.setattr(module, "entry_points", lambda group: [entry])
    with pytest.raises(UsageError, match=r"no_such_module_at_all\.x:Cheap cannot be loaded: ModuleNotFoundError"):
        read_checker(Expected(t_ns=1, checker="no_such_module_at_all.x:Cheap"))
    with pytest.raises(UsageError, match=r"no_such_module_at_all\.x:Cheap cannot be loaded: ModuleNotFoundError"):
        require_declarable("no_such_module_at_all.x:Cheap", where="ours.toml: weaknesses")
