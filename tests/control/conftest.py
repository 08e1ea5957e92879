"""A small embedded stack for all tests of control ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servedrill.leases.undo import Undo
from servedrill.stacks.file import Embedded, StackFile
from servedrill.stacks.lifecycle import stack_up


class Forgetting:
    """What is made ends with its block here."""

    def keep(self, kind: str, *undo: Undo) -> None: ...


@pytest.fixture(scope="session")
def forgetting() -> Forgetting:
    return Forgetting()


@pytest.fixture(scope="module")
def small_stack(tmp_path_factory: pytest.TempPathFactory, forgetting: Forgetting) -> Iterator[Any]:
    """One engine behind one gateway, with its proxies, name and alerts."""
    file = StackFile(embedded=Embedded(engines=1, gateways=1, settings={"engine_limits": {"blocks": 64}}))
    folder: Path = tmp_path_factory.mktemp("stack")
    with stack_up(file, folder, on_undo=forgetting, defects=[], seed=1, limit_memory=False) as stack:
        yield stack
