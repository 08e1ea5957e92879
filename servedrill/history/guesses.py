"""Numbers that nobody stands for: promises that a stack never made, and whatever is computed from them.

A drill may shape its traffic by them. A claim whose limit is made of one is not judged: see
`servedrill.checkers.validity.Unpromised`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from servedrill.history.promises import Promises

T = TypeVar("T")


class Guess:
    """What makes a number remember whose default it is."""

    names: frozenset[str]


def _with(how: Callable[[Any, Any], Any], *, swapped: bool = False) -> Callable[[Any, Any], Any]:
    def result(self: Any, other: Any) -> Any:
        pair = (plain(other), plain(self)) if swapped else (plain(self), plain(other))
        return guess(how(*pair), guessed(self) | guessed(other))

    return result


class _GuessedInt(Guess, int):
    pass


class _GuessedFloat(Guess, float):
    pass


for _name in ("add", "sub", "mul", "truediv", "floordiv"):
    for _kind in (_GuessedInt, _GuessedFloat):
        _how = getattr(operator, _name)
        setattr(_kind, f"__{_name}__", _with(_how))
        setattr(_kind, f"__r{_name}__", _with(_how, swapped=True))


def guess(value: Any, names: frozenset[str]) -> Any:
    """The number, which remembers the promises that it is made of; anything but a number stays as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    found = _GuessedInt(value) if isinstance(value, int) else _GuessedFloat(value)
    found.names = names
    return found


def guessed(value: object) -> frozenset[str]:
    """Promises that nobody made and that the value is made of."""
    return value.names if isinstance(value, Guess) else frozenset()


def plain(value: Any) -> Any:
    """The number alone, as what is written down needs it."""
    if isinstance(value, _GuessedInt):
        return int(value)
    return float(value) if isinstance(value, _GuessedFloat) else value


def plainly(struct: T) -> T:
    """A record without guesses in it, however deep."""
    return msgspec.convert(msgspec.to_builtins(struct, enc_hook=written), type(struct))


def written(value: Any) -> Any:
    """For encoders, which know no guesses. Raises `NotImplementedError` for anything else."""
    if not isinstance(value, Guess):
        raise NotImplementedError(f"{type(value).__name__} cannot be written down")
    return plain(value)


def with_guesses(promises: Promises) -> Promises:
    """The promises as a drill sees them: numbers that nobody stated remember their names."""
    guesses = {name: guess(getattr(promises, name), frozenset({name})) for name in promises.assumed}
    return msgspec.structs.replace(promises, **guesses)
