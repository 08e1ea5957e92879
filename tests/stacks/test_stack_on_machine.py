"""Memory cgroups of a stack on this machine: on record before they are there, and gone with it."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from stack_world import Remembering

from servedrill.errors import StackError
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
    try:
        groups.make(["engine-0", "engine-1"], run=secrets.token_hex(4))
    except StackError as error:
        pytest.skip(str(error))
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


def test_a_replica_without_a_group_is_told_by_name(made: tuple[MemoryGroups, Early]) -> None:
    """Gateways have none."""
    groups, _ = made
    assert groups.of("engine-1").name.endswith("-engine-1")
    with pytest.raises(StackError, match="gateway-0 has no memory group"):
        groups.of("gateway-0")
    groups.remove()
