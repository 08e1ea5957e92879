"""Whether an object has the shape of a type: every key that is unknown or missing, every value that is of another type.

msgspec stops at the first; somebody who writes a file wants to hear of all of them, with line and column. The types are
the same structs: what `shape_mistakes` finds nothing wrong with is converted without an error, and so is what
`repaired` makes of the rest.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect as types

from servedrill.files.documents import Document
from servedrill.files.meant import meant
from servedrill.files.places import Key, Mistake, Position, dotted

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
"""No argument, path or header can have it."""
NUMBER_MAX = 1e15
"""Beyond it are infinities, what is no number at all, and slips of the hand."""
Advice = Callable[[Key, Any], tuple[str, str] | None]
"""Key and value of a wrong type -> what was expected and what was probably meant, where a kind of file knows better."""


def no_advice(key: Key, value: Any) -> tuple[str, str] | None:
    """That of a kind of file that knows no better."""
    return None


def shape_mistakes(document: Document, type_: Any, key: Key = (), *, advice: Advice = no_advice) -> list[Mistake]:
    """What keeps the object below ``key`` from being a ``type_``."""
    found: list[Mistake] = []
    value = document.value
    for step in key:
        value = value[step]
    _Walk(document, found, advice).value(value, types.type_info(type_), key)
    return found


@dataclass(frozen=True, slots=True)
class Guess:
    """An object as it was probably meant."""

    document: Document
    doubtful: frozenset[Key]
    """Keys whose values are no more than a filling, and of mappings that something was left out of."""


def repaired(document: Document, type_: Any) -> Guess:
    """The object as it was probably meant, so that the rest of it can be looked at too; it converts to ``type_``.

    Keys and words that were nearly right are taken for what was meant. Others that are wrong are left out or, where
    something has to be there, filled with what says least, as is what is missing.
    """
    repair = _Repair()
    value = repair.value_or_filling(document.value, types.type_info(type_), (), ())
    fixed = Document(document.file, value, dict(document.keys), dict(document.values))
    for new, old in repair.moved.items():
        for positions in (fixed.keys, fixed.values):
            positions.update({new + path[len(old) :]: at for path, at in positions.items() if path[: len(old)] == old})
    return Guess(fixed, frozenset(repair.doubtful))


class _CannotGuess(Exception):
    """A value is of another type, or a word is like none that is known."""


class _Repair:
    """``key`` is the path in the object that is made, ``old`` that in the object as it stands."""

    def __init__(self) -> None:
        self.moved: dict[Key, Key] = {}
        """Where the two differ: new -> old."""
        self.doubtful: set[Key] = set()

    def value_or_filling(self, value: Any, type_: types.Type, key: Key, old: Key) -> Any:
        try:
            return self._value(value, type_, key, old)
        except _CannotGuess:
            return self._filling(type_, key)

    def _value(self, value: Any, type_: types.Type, key: Key, old: Key) -> Any:
        if isinstance(type_, types.UnionType):
            type_ = next((one for one in type_.types if _fits(value, one)), type_)
        if isinstance(type_, types.UnionType) or not _fits(value, type_):
            raise _CannotGuess
        if isinstance(type_, types.LiteralType) and value not in type_.values:
            if not (word := _nearest(value, [str(one) for one in type_.values])):
                raise _CannotGuess
            return word
        if isinstance(type_, types.ListType):
            item = type_.item_type
            return [self.value_or_filling(one, item, (*key, n), (*old, n)) for n, one in enumerate(value)]
        if isinstance(type_, types.DictType):
            below = type_.value_type
            return {name: self.value_or_filling(one, below, (*key, name), (*old, name)) for name, one in value.items()}
        return self._struct(value, type_, key, old) if isinstance(type_, types.StructType) else value

    def _struct(self, value: dict[str, Any], type_: types.StructType, key: Key, old: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        fields = {one.encode_name: one for one in type_.fields}
        for name, one in value.items():
            right = name if name in fields else _nearest(name, [f for f in fields if f not in value and f not in found])
            if not right:
                continue
            below = (*key, right)
            if (*old, name) != below:
                self.moved[below] = (*old, name)
            try:
                found[right] = self._value(one, fields[right].type, below, (*old, name))
            except _CannotGuess:
                if not fields[right].required:
                    self.doubtful |= {key, below}
        for name, field in fields.items():
            if field.required and name not in found:
                found[name] = self._filling(field.type, (*key, name))
        return found

    def _filling(self, type_: types.Type, key: Key) -> Any:
        """What says least of a type."""
        self.doubtful.add(key)
        match type_:
            case types.BoolType():
                return False
            case types.IntType() | types.FloatType():
                return next(one for one in (0, type_.ge, 1, type_.le) if one is not None and _within(one, type_))
            case types.StrType():
                return ""
            case types.LiteralType():
                return type_.values[0]
            case types.ListType():
                return []
            case types.DictType():
                return {}
            case types.StructType():
                required = [field for field in type_.fields if field.required]
                return {field.encode_name: self._filling(field.type, (*key, field.encode_name)) for field in required}
            case types.UnionType():
                return None if types.NoneType() in type_.types else self._filling(type_.types[0], key)
        return None


def _nearest(name: str, known: list[str]) -> str:
    """The known key that `meant` suggests; empty without one."""
    suggested = meant(name, known)
    return next((one for one in known if suggested and meant(name, [one]) == suggested), "")


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
            words = [str(word) for word in type_.values]
            at = self.document.value_at(key)
            self._add(at, key, f"{value!r}", expected=" or ".join(words), hint=meant(value, words))

    def _struct(self, value: dict[str, Any], type_: types.StructType, key: Key) -> None:
        fields = {one.encode_name: one for one in type_.fields}
        free = [known for known in fields if known not in value]
        misspelt = set()
        for name, one in value.items():
            below = (*key, name)
            if name in fields:
                self.value(one, fields[name].type, below)
            else:
                hint = meant(name, free)
                expected = "" if hint else ", ".join(fields)
                self._add(self.document.at(below), below, f"unknown key {name!r}", expected=expected, hint=hint)
                if right := _nearest(name, free):
                    misspelt.add(right)
                    self.value(one, fields[right].type, below)
        for name, field in fields.items():
            if field.required and name not in value and name not in misspelt:
                self._add(self.document.at(key), key, f"{name!r} is missing", expected=_named(field.type))

    def _wrong(self, value: Any, type_: types.Type, key: Key) -> None:
        expected, hint = self.advice(key, value) or (_named(type_), "")
        if isinstance(value, str) and _UNWRITABLE.search(value):
            expected = "a text of whole characters, none of them NUL"
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
            return isinstance(value, int) and not isinstance(value, bool) and _within(value, type_)
        case types.FloatType():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number and abs(value) < NUMBER_MAX and _within(value, type_)
        case types.StrType():
            return isinstance(value, str) and not _UNWRITABLE.search(value)
        case types.LiteralType():
            return isinstance(value, str)
        case types.ListType():
            return isinstance(value, list)
        case types.StructType() | types.DictType():
            return isinstance(value, dict)
    raise TypeError(f"no rule for {type_}")


def _within(value: float, type_: types.IntType | types.FloatType) -> bool:
    """Whether a number keeps the bounds of its type."""
    return not (
        (type_.gt is not None and value <= type_.gt)
        or (type_.ge is not None and value < type_.ge)
        or (type_.lt is not None and value >= type_.lt)
        or (type_.le is not None and value > type_.le)
    )


def _bounds(type_: types.IntType | types.FloatType) -> str:
    sides = (("above", type_.gt), ("at least", type_.ge), ("below", type_.lt), ("at most", type_.le))
    return " and".join(f" {word} {bound:g}" for word, bound in sides if bound is not None)


def _named(type_: types.Type) -> str:
    match type_:
        case types.NoneType():
            return "nothing"
        case types.BoolType():
            return "true or false"
        case types.IntType():
            return f"a whole number{_bounds(type_)}"
        case types.FloatType():
            return f"a number{_bounds(type_) or ', finite and no giant'}"
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
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=bool(_UNWRITABLE.search(value)))
    return "empty" if value is None else msgspec.json.encode(value).decode()
