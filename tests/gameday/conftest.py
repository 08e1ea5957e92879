"""Playbooks as files, and a stack of paper to plan them on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

LEAST: dict[str, Any] = {
    "title": "A day",
    "steady-state-hypothesis": {"title": "Served.", "probes": [{"sli": "success", "at-least": 0.99}]},
    "method": [{"ask": "Ready?"}],
}


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A playbook: the least that one can be, and what is given."""

    def write(**more: Any) -> Path:
        path = tmp_path / "day.yaml"
        path.write_text(yaml.safe_dump({**LEAST, **{name.replace("_", "-"): one for name, one in more.items()}}))
        return path

    return write
