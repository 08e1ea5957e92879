"""JSON bodies as Go's decoder reads them: the one place where untyped data is let in.

Keys are case-insensitive and unknown ones ignored, null leaves a field as it is, an integer field takes no fraction,
and whatever follows the first value is not looked at. Existing clients count on each of these.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_type_hints

_INT64 = range(-(1 << 63), 1 << 63)
_FLOAT32_MAX = 3.4e38
_DECODER = json.JSONDecoder(parse_constant=lambda name: _reject(f"invalid character in literal {name}"))
_NAMES = {str: "string", int: "int64", float: "float", bool: "bool"}

T = TypeVar("T")


class BadBody(Exception):
    """The body cannot be used; the text says why."""


def _reject(why: str) -> Any:
    raise BadBody(why)


def parse(body: bytes) -> Any:
    """The first JSON value of a body; raises `BadBody`."""
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise BadBody("EOF")
    try:
        value, _ = _DECODER.raw_decode(text)
    except RecursionError:
        raise BadBody("exceeded max depth") from None
    except ValueError as problem:  # JSONDecodeError, and integers of thousands of digits
        raise BadBody(str(problem)) from None
    return value


def as_object(value: Any, what: str) -> dict[str, Any]:
    """An object with lower-case keys; null is an empty one. Raises `BadBody`."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadBody(f"cannot unmarshal {_kind(value)} into {what}")
    return {key.lower(): item for key, item in value.items()}


def as_list(value: Any, what: str) -> list[Any]:
    """An array; null is an empty one. Raises `BadBody`."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadBody(f"cannot unmarshal {_kind(value)} into {what}")
    return value


def take(source: dict[str, Any], key: str, kind: type[T], default: T) -> T:
    """One field of an object with lower-case keys: `default` where it is absent or null. Raises `BadBody`."""
    value = source.get(key)
    return default if value is None else _convert(value, kind, key)


def _convert(value: Any, kind: type[T], key: str) -> T:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    good: Any = None
    if kind is str and isinstance(value, str):
        good = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    elif (kind is bool and isinstance(value, bool)) or (kind is int and type(value) is int and value in _INT64):
        good = value
    elif kind is float and is_number and abs(value) < _FLOAT32_MAX:
        good = float(value)
    if good is None:
        raise BadBody(f"cannot unmarshal {_kind(value)} into field {key} of type {_NAMES[kind]}")
    return good  # type: ignore[no-any-return]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return f"number {value}"[:60]
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def record(cls: type[T], given: Any, *, before: T | None = None) -> T:
    """A frozen dataclass of scalars from an object, starting from ``before`` or the defaults. Raises `BadBody`."""
    source = as_object(given, "attributes")
    start = cls() if before is None else before
    kinds = get_type_hints(cls)
    return cls(**{f.name: take(source, f.name, kinds[f.name], getattr(start, f.name)) for f in fields(cls)})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class ToxicInput:
    """A toxic as it was sent; its attributes are read once its type is known."""

    name: str
    type: str
    stream: str
    toxicity: float | None
    ttl_s: float | None
    attributes: Any


@dataclass(frozen=True, slots=True)
class ProxyInput:
    """A proxy as it was sent; None where a field was left out."""

    name: str
    listen: str | None
    upstream: str | None
    enabled: bool | None
    tap: bool | None
    mirror: bool | None
    ttl_s: float | None
    toxics: tuple[ToxicInput, ...] | None


def toxic_input(value: Any) -> ToxicInput:
    """A toxic from the body of a request; raises `BadBody`."""
    source = as_object(value, "toxic")
    as_object(source.get("attributes"), "attributes")
    return ToxicInput(
        name=take(source, "name", str, ""),
        type=take(source, "type", str, ""),
        stream=take(source, "stream", str, "downstream"),
        toxicity=_optional(source, "toxicity", float),
        ttl_s=_ttl(source),
        attributes=source.get("attributes"),
    )


def proxy_input(value: Any) -> ProxyInput:
    """A proxy from the body of a request, or an item of a list; raises `BadBody`."""
    source = as_object(value, "proxy")
    toxics = source.get("toxics")
    return ProxyInput(
        name=take(source, "name", str, ""),
        listen=_optional(source, "listen", str),
        upstream=_optional(source, "upstream", str),
        enabled=_optional(source, "enabled", bool),
        tap=_optional(source, "tap", bool),
        mirror=_optional(source, "mirror", bool),
        ttl_s=_ttl(source),
        toxics=None if toxics is None else tuple(toxic_input(item) for item in as_list(toxics, "toxics")),
    )


def toxic_change(value: Any) -> ToxicInput:
    """A toxic's update: only attributes, toxicity and ttl are looked at."""
    source = as_object(value, "toxic")
    return toxic_input({key: source.get(key) for key in ("attributes", "toxicity", "ttl")})


def proxy_change(value: Any) -> ProxyInput:
    """A proxy's update: its toxics are not looked at, because clients send back what they were shown."""
    source = as_object(value, "proxy")
    return proxy_input({key: item for key, item in source.items() if key != "toxics"})


def _optional(source: dict[str, Any], key: str, kind: type[T]) -> T | None:
    return None if source.get(key) is None else _convert(source[key], kind, key)


def _ttl(source: dict[str, Any]) -> float | None:
    ttl_s = _optional(source, "ttl", float)
    if ttl_s is not None and ttl_s < 0:
        raise BadBody("ttl is in seconds and cannot be negative")
    return ttl_s
