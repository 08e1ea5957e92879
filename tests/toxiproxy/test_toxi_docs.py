"""The documentation's tables say what the code says."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from servedrill.faults import network, streams
from servedrill.toxiproxy import toxics
from servedrill.toxiproxy.evidence import Evidence
from servedrill.toxiproxy.toxic import REGISTRY

DOCS = Path(__file__).parents[2] / "docs" / "toxics.md"
assert toxics


def test_every_toxic_has_a_row_with_its_attributes_and_defaults() -> None:
    """And no row is about one that does not exist."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", DOCS.read_text(), re.MULTILINE))
    documented: dict[str, dict[str, Any]] = {
        name: {key: json.loads(value) for key, value in re.findall(r'`(\w+)` = (".*?"|true|false|[\d.]+)', cell)}
        for name, cell in rows.items()
        if name in REGISTRY
    }
    real = {name: {f.name: f.default for f in fields(cls)} for name, cls in REGISTRY.items()}  # type: ignore[arg-type]
    assert MISSING not in [default for attributes in real.values() for default in attributes.values()]
    assert documented == real


def test_every_fault_has_a_row_with_its_figures() -> None:
    """Name, parameters in their order, and what proves it; `toxicity`, `stream` and the hop are told once for all."""
    documented = dict(re.findall(r"^\| `(\w+\.\w+)\((.*?)\)`", DOCS.read_text(), re.MULTILINE))
    common = {"stack", "hop", "toxicity", "reach"}
    real = {"network.Down": []}
    for module in (network, streams):
        for name, thing in inspect.getmembers(module, inspect.isfunction):
            own = thing.__module__ == module.__name__ and thing.__annotations__.get("return") == "Toxic"
            if own:
                real[f"{module.__name__.rsplit('.', 1)[1]}.{name}"] = [
                    p for p in inspect.signature(thing).parameters if p not in common
                ]
    assert {name: re.findall(r"(?:^|, | or )(\w+)", given) for name, given in documented.items()} == real


def test_every_counter_is_explained() -> None:
    """A number without a meaning proves nothing."""
    explained = set(re.findall(r"`(\w+)`", DOCS.read_text().split("### Evidence")[1].split("###")[0]))
    assert {f.name for f in fields(Evidence)} <= explained


def test_every_toxic_is_a_file_of_its_own() -> None:
    """Named as the API names it."""
    files = {path.stem for path in Path(toxics.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(REGISTRY) == set(toxics.__all__)
