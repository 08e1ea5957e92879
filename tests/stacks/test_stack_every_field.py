"""Every field of a stack file, made wrong in every way that its type knows: a line that says where, and no more.

The fields are found in the types, so that a new one is covered by being there.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect as types

from servedrill.files.places import dotted
from servedrill.stacks.embedded_settings import _settings_type
from servedrill.stacks.file import StackFile
from servedrill.stacks.reading import check_stack_files
from tests.worlds.stack_files import CONTAINERS, EXTERNAL, PROCESSES

Key = tuple[str | int, ...]
WRONG_KINDS: list[Any] = [7.5, True, "no such word", [[]], {"no such key": 1}]
BASES = {"container": CONTAINERS, "external": EXTERNAL, "replica": EXTERNAL, "embedded": "", "proxy": ""}


def toml(value: Any) -> str:
    """A value as TOML has it in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def fits(value: Any, type_: types.Type) -> bool:
    """Whether a value is of a kind that the type takes, whatever its bounds."""
    match type_:
        case types.UnionType():
            return any(fits(value, one) for one in type_.types)
        case types.BoolType():
            return isinstance(value, bool)
        case types.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case types.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case types.StrType():
            return isinstance(value, str)
        case types.ListType():
            return isinstance(value, list) and all(fits(one, type_.item_type) for one in value)
        case types.DictType():
            return isinstance(value, dict) and all(fits(one, type_.value_type) for one in value.values())
        case types.AnyType():
            return True
        case _:
            return False


def wrong_values(type_: types.Type) -> Iterator[Any]:
    """Values of other kinds, and those beyond each bound."""
    yield from (value for value in WRONG_KINDS if not fits(value, type_))
    for one in type_.types if isinstance(type_, types.UnionType) else (type_,):
        if isinstance(one, types.FloatType):
            yield from (math.nan, math.inf, -math.inf, 1e300)
        if isinstance(one, types.IntType):
            yield 10**30
        if isinstance(one, types.StrType):
            yield from ("a\0b",)
        if isinstance(one, types.IntType | types.FloatType):
            yield from (bound - 1 for bound in (one.ge, one.gt) if bound is not None)
            yield from (bound + 1 for bound in (one.le, one.lt) if bound is not None)
            yield from (bound for bound in (one.gt, one.lt) if bound is not None)


def fields(type_: types.Type, key: Key = ()) -> Iterator[tuple[Key, types.Type]]:
    """Every field below, those of the first element of each list among them."""
    match type_:
        case types.StructType():
            for one in type_.fields:
                yield (*key, one.encode_name), one.type
                yield from fields(one.type, (*key, one.encode_name))
        case types.ListType():
            yield from fields(type_.item_type, (*key, 0))
        case types.UnionType():
            for one in type_.types:
                yield from fields(one, key)


def changed(base: str, key: Key, value: Any) -> str:
    """A stack file of this base with another value there."""
    top: Any = tomllib.loads(base)
    at = top
    for step, following in pairwise(key):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(step, int):
            if len(at) <= step:
                at.append(empty)
        else:
            at.setdefault(step, empty)
        at = at[step]
    if isinstance(key[-1], int) and len(at) <= key[-1]:
        at.append(value)
    else:
        at[key[-1]] = value
    return "".join(f"{name} = {toml(one)}\n" for name, one in top.items())


def numbers(type_: types.Type) -> bool:
    """Whether it takes any."""
    of = type_.types if isinstance(type_, types.UnionType) else (type_,)
    return any(isinstance(one, types.IntType | types.FloatType) for one in of)


SETTINGS = [(("embedded", "settings", *key), type_) for key, type_ in fields(types.type_info(_settings_type()))]
FIELDS = {dotted(key): (key, type_) for key, type_ in [*fields(types.type_info(StackFile)), *SETTINGS]}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_is_wrong_is_told_in_a_line(field: str, tmp_path: Path) -> None:
    """With file, line, column and its path; nothing raises, and nothing wrong is taken."""
    key, type_ = FIELDS[field]
    path = tmp_path / "stack.toml"
    for value in wrong_values(type_):
        path.write_text(changed(BASES.get(str(key[0]), PROCESSES), key, value))
        said = [str(mistake) for mistake in check_stack_files([path])]
        assert any(line.startswith(f"{path}:") and field in line for line in said), (value, said)
        assert all("\n" not in line and len(line) < 1000 for line in said), (value, said)


def test_ports_are_ports(tmp_path: Path) -> None:
    """Wherever one is named."""
    path = tmp_path / "stack.toml"
    ports = [key for key, _ in FIELDS.values() if "port" in str(key[-1]).split("_")]
    assert len(ports) >= 4
    for key in ports:
        for value in (-1, 65536, 10**9):
            path.write_text(changed(BASES.get(str(key[0]), PROCESSES), key, value))
            assert any(dotted(key) in str(mistake) for mistake in check_stack_files([path])), (key, value)


@pytest.mark.parametrize("field", [name for name, (_, type_) in FIELDS.items() if numbers(type_)])
def test_a_number_has_bounds_on_both_sides(field: str, tmp_path: Path) -> None:
    """Below nothing and beyond all it is refused: nobody waits for ever, or takes all memory."""
    key, _ = FIELDS[field]
    path = tmp_path / "stack.toml"
    for value in (-100, 10**14):
        path.write_text(changed(BASES.get(str(key[0]), PROCESSES), key, value))
        assert any(field in str(mistake) for mistake in check_stack_files([path])), value


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("engine_limits = {blocks = 1000000}", "embedded.settings.engine_limits: an engine takes 91."),
        ("engine_limits = {blocks = 1000000, block_bytes = 128}", ""),
        ("engine_limits = {block_bytes = 127}", "engine_limits.block_bytes: is 127; expected 128 at least"),
        ("engine_limits = {activation_bytes_per_token = 1000000000}", "an engine takes 47"),
        ('models = [{version = "v1", weights_bytes = 1000000000}]', ""),
        ("models = [" + ", ".join(['{version = "v1", weights_bytes = 0}']) + "]", "weights_bytes: is 0"),
    ],
)
def test_an_engine_takes_no_more_than_a_machine_has(line: str, says: str, tmp_path: Path) -> None:
    """What it holds is really allocated."""
    path = tmp_path / "stack.toml"
    path.write_text(f"[embedded.settings]\n{line}\n")
    said = [str(mistake) for mistake in check_stack_files([path])]
    assert (len(said), all(says in one for one in said)) == (bool(says), True), said


def test_every_field_is_looked_at() -> None:
    """More than a hundred of them."""
    assert len(FIELDS) > 150, len(FIELDS)
    assert {"promises.pace", "embedded.settings.drain_grace_s", "process[0].ready.within_s"} <= set(FIELDS)
