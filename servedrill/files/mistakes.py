"""Everything that is wrong with an object, at once, each mistake where it stands and with the key that was probably meant.

msgspec stops at the first mistake; somebody who writes a file wants to hear of all of them. The types are the same ones: what
`mistakes_of` finds nothing wrong with is converted without an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect as types

from servedrill.files.documents import Document
from servedrill.files.meant import meant
from servedrill.files.places import Key, Mistake, Position, dotted

NUMBER_MAX = 1e15
"""Beyond it are infinities, what is no number at all, and slips of the hand."""
Advice = Callable[[Key, Any], tuple[str, str] | None]
"""Key and value of a wrong type -> what was expected there and what was probably meant, where a kind of file knows better."""


def _no_advice(key: Key, value: Any) -> tuple[str, str] | None:
    return None


def mistakes_of(document: Document, type_: Any, key: Key = (), *, advice: Advice = _no_advice) -> list[Mistake]:
    """What keeps the object below ``key`` from being a ``type_``: unknown and missing keys, and values of another type."""
    found: list[Mistake] = []
    value = document.value
    for step in key:
        value = value[step]
    _Walk(document, found, advice).value(value, types.type_info(type_), key)
    return found


def repaired(document: Document, type_: Any) -> Document | None:
    """The object as it was probably meant, so that the rest of it can be looked at too; None where that cannot be guessed.

    Keys and words that were nearly right are taken for what was meant, others that are wrong are left out.
    """
    keys: dict[Key, Key] = {}
    try:
        value = _meant_value(document.value, types.type_info(type_), (), (), keys)
    except _CannotGuess:
        return None
    fixed = type(document)(document.file, value, dict(document.keys), dict(document.values))
    for new, old in keys.items():
        for positions in (fixed.keys, fixed.values):
            positions.update({new + path[len(old) :]: at for path, at in positions.items() if path[: len(old)] == old})
    return fixed


class _CannotGuess(Exception):
    """Something that has to be there is not, or is of another type."""


def _meant_value(value: Any, type_: types.Type, key: Key, old: Key, keys: dict[Key, Key]) -> Any:
    """``old`` is the path in the object as it stands; paths that differ are put into ``keys``."""
    if isinstance(type_, types.UnionType):
        type_ = next((one for one in type_.types if _fits(value, one)), type_)
    if isinstance(type_, types.UnionType) or not _fits(value, type_):
        raise _CannotGuess
    if isinstance(type_, types.LiteralType) and value not in type_.values:
        words = {meant(str(value), [str(word)]): word for word in type_.values}
        if (hint := meant(str(value), map(str, type_.values))) not in words or not hint:
            raise _CannotGuess
        return words[hint]
    if isinstance(type_, types.ListType):
        return [
            _meant_value(one, type_.item_type, (*key, index), (*old, index), keys) for index, one in enumerate(value)
        ]
    if isinstance(type_, types.DictType):
        return {
            name: _meant_value(one, type_.value_type, (*key, name), (*old, name), keys) for name, one in value.items()
        }
    if not isinstance(type_, types.StructType):
        return value
    found: dict[str, Any] = {}
    fields = {one.encode_name: one for one in type_.fields}
    for name, one in value.items():
        free = [known for known in fields if known not in value and known not in found]
        right = (
            name if name in fields else next((known for known in free if meant(name, [known]) == meant(name, free)), "")
        )
        if not right:
            continue
        below = (*key, right)
        if (*old, name) != below:
            keys[below] = (*old, name)
        try:
            found[right] = _meant_value(one, fields[right].type, below, (*old, name), keys)
        except _CannotGuess:
            if fields[right].required:
                raise
    for name, field in fields.items():
        if field.required and name not in found:
            if not (isinstance(field.type, types.LiteralType) and len(field.type.values) == 1):
                raise _CannotGuess
            found[name] = field.type.values[0]
    return found


class _Walk:
    def __init__(self, document: Document, found: list[Mistake], advice: Advice) -> None:
        self.document, self.found, self.advice = document, found, advice

    def value(self, value: Any, type_: types.Type, key: Key) -> None:
        if isinstance(type_, types.UnionType):
            fitting = [one for one in type_.types if _fits(value, one)]
            if not fitting:
                self._wrong(value, type_, key)
            else:
                self.value(value, fitting[0], key)
        elif not _fits(value, type_):
            self._wrong(value, type_, key)
        elif isinstance(type_, types.StructType):
            self._struct(value, type_, key)
        elif isinstance(type_, types.ListType):
            for index, one in enumerate(value):
                self.value(one, type_.item_type, (*key, index))
        elif isinstance(type_, types.DictType):
            for name, one in value.items():
                self.value(one, type_.value_type, (*key, name))
        elif isinstance(type_, types.LiteralType) and value not in type_.values:
            self._add(
                self.document.value_at(key),
                key,
                f"{value!r}",
                expected=" or ".join(map(str, type_.values)),
                hint=meant(str(value), map(str, type_.values)),
            )

    def _struct(self, value: dict[str, Any], type_: types.StructType, key: Key) -> None:
        fields = {one.encode_name: one for one in type_.fields}
        for name, one in value.items():
            if name in fields:
                self.value(one, fields[name].type, (*key, name))
            else:
                hint = meant(name, (known for known in fields if known not in value))
                expected = "" if hint else ", ".join(fields)
                self._add(self.document.at((*key, name)), key, f"unknown key {name!r}", expected=expected, hint=hint)
        for name, field in fields.items():
            if field.required and name not in value:
                self._add(self.document.at(key), key, f"{name!r} is missing", expected=_named(field.type))

    def _wrong(self, value: Any, type_: types.Type, key: Key) -> None:
        expected, hint = self.advice(key, value) or (_named(type_), "")
        self._add(self.document.value_at(key), key, f"is {_said(value)}", expected=expected, hint=hint)

    def _add(self, position: Position, key: Key, what: str, *, expected: str = "", hint: str = "") -> None:
        self.found.append(Mistake(self.document.file, position, dotted(key), what, expected, hint))


def _fits(value: Any, type_: types.Type) -> bool:
    """Whether the value is of that sort, whatever is inside."""
    match type_:
        case types.AnyType():
            return True
        case types.NoneType():
            return value is None
        case types.BoolType():
            return isinstance(value, bool)
        case types.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case types.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < NUMBER_MAX
        case types.StrType():
            return isinstance(value, str)
        case types.LiteralType():
            return isinstance(value, str)
        case types.ListType():
            return isinstance(value, list)
        case types.StructType() | types.DictType():
            return isinstance(value, dict)
    raise TypeError(f"no rule for {type_}")


def _named(type_: types.Type) -> str:
    match type_:
        case types.NoneType():
            return "nothing"
        case types.BoolType():
            return "true or false"
        case types.IntType():
            return "a whole number"
        case types.FloatType():
            return "a number, finite and no giant"
        case types.StrType():
            return "a text"
        case types.LiteralType():
            return " or ".join(map(str, type_.values))
        case types.ListType():
            return "a list"
        case types.DictType():
            return "a mapping"
        case types.StructType():
            return f"a mapping with {', '.join(one.encode_name for one in type_.fields)}"
        case types.UnionType():
            return " or ".join(_named(one) for one in type_.types if not isinstance(one, types.NoneType))
    return "a value"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "empty" if value is None else msgspec.json.encode(value).decode()
