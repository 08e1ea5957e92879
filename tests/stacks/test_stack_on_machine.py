"""Memory cgroups of a stack on this machine: on record before they are there, and gone with it."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from stack_world import Remembering

from servedrill.stacks.on_machine import MemoryGroups


class Early(Remembering):
    """Looks whether what it is told of is there already."""

    def __init__(self) -> None:
        super().__init__("memory-group")
        self.there: list[bool] = []

    def keep(self, kind: str, *undo: object) -> None:
        super().keep(kind, *undo)  # type: ignore[arg-type]
        self.there.append(Path(self.memory_groups[-1]).exists())


@pytest.fixture
def made() -> tuple[MemoryGroups, Early]:
    """Groups for two engines, and who was told."""
    undo = Early()
    groups = MemoryGroups(undo)
    groups.make(["engine-0", "engine-1"], run=secrets.token_hex(4))
    if not groups.paths():
        pytest.skip(groups.refused)
    return groups, undo


def test_a_memory_group_is_on_record_before_it_is_made(made: tuple[MemoryGroups, Early]) -> None:
    """A kill -9 between the two would leave a cgroup that nobody knows of."""
    groups, undo = made
    assert undo.there == [False, False]
    assert list(groups.paths().values()) == undo.memory_groups
    assert all(Path(path).is_dir() for path in undo.memory_groups)
    groups.remove()
    assert not any(Path(path).exists() for path in undo.memory_groups)
    groups.remove()


def test_a_replica_that_none_was_asked_for_has_no_group(made: tuple[MemoryGroups, Early]) -> None:
    """Gateways have none."""
    groups, _ = made
    group = groups.of("engine-1")
    assert group is not None
    assert group.name.endswith("-engine-1")
    assert groups.of("gateway-0") is None
    groups.remove()
