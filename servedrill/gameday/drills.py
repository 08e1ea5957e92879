"""Drills as steps of a playbook: found by name or by file, run without pytest."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from servedrill.errors import UsageError
from servedrill.files.shipped import shipped_drill, shipped_files


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDrill:
    """A test function that takes ``drill`` and nothing else."""

    name: str
    file: Path
    function: str
    module: str = ""
    """How it is imported; empty for a file of somebody's own."""

    @property
    def nodeid(self) -> str:
        """As pytest is given it."""
        return f"{self.module or self.file}::{self.function}"

    def load(self) -> Callable[[Any], None]:
        """The function. Raises `UsageError` where there is none, or it takes something else than a drill."""
        try:
            module = importlib.import_module(self.module) if self.module else _module_of(self.file)
        except Exception as error:  # whatever a file of somebody's own does when it is imported
            raise UsageError(f"cannot be imported: {error!r}", where=str(self.file), expected="a drill") from error
        function: Any = getattr(module, self.function, None)
        if not callable(function) or list(inspect.signature(function).parameters) != ["drill"]:
            raise UsageError(
                f"no function {self.function!r} that takes a drill and nothing else",
                where=str(self.file),
                expected=f"def {self.function}(drill)",
            )
        found: Callable[[Any], None] = function
        return found


def shipped_drills() -> list[str]:
    """Their names: ``timeout_spike`` of ``drills/test_1_timeout_spike.py``."""
    return list(_shipped())


def find_drill(said: str, folder: Path) -> FoundDrill | None:
    """The drill of this name, or of ``FILE::FUNCTION`` with the file from ``folder``; None where nothing is there."""
    if "::" not in said:
        return _shipped().get(said)
    file, _, function = said.partition("::")
    path = folder / file
    return FoundDrill(name=function.removeprefix("test_"), file=path, function=function) if path.is_file() else None


def capabilities(function: Any, marker: str) -> list[str]:
    """What the drill's markers of this name say."""
    marks = getattr(function, "pytestmark", [])
    return [str(name) for mark in marks if mark.name == marker for name in mark.args]


@cache
def _shipped() -> dict[str, FoundDrill]:
    found = {}
    for path in shipped_files().values():
        if (module := shipped_drill(path)) and path.stem.startswith("test_"):
            name = path.stem.removeprefix("test_").lstrip("0123456789").lstrip("_")
            found[name] = FoundDrill(name=name, file=path, function=f"test_{name}", module=module)
    return found


def _module_of(path: Path) -> ModuleType:
    name = f"servedrill_playbook_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
