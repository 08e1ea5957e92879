"""OpenSLO objects as they are read: each by itself (shape, name, labels), found by kind and name.

Everything that is wrong with them is noted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from servedrill.files.documents import Document, Kind
from servedrill.files.meant import meant
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key
from servedrill.slo import durations, schema
from servedrill.slo.foreign import foreign

FILES = Kind(file="a file of SLOs", object="apiVersion, kind, metadata, spec", several=True)
AGREEMENT = "agreement"
"""The label that tells an SLA from an SLO."""
WHEN_SPENT = "servedrill/when-spent"
ALERT_WINDOWS = "servedrill/alert-windows"
ANNOTATIONS = (WHEN_SPENT, ALERT_WINDOWS)
DESCRIPTION_MAX = 1050
_DURATIONS = ("duration", "lookbackWindow", "alertAfter")
"""Keys of texts that a bare number is easily written for."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


def advice(key: Key, value: Any) -> tuple[str, str] | None:
    """What a value of a wrong type in an SLO file was probably meant to be; see `servedrill.files.mistakes.Advice`."""
    if key and key[-1] in _DURATIONS and isinstance(value, int) and not isinstance(value, bool):
        return durations.FORM, f"did you mean '{value}d'?"
    return None


@dataclass(frozen=True, slots=True)
class Known:
    """An object whose shape is right."""

    document: Document
    object: Any


class Objects:
    """What files hold, by kind and name, and the mistakes that were found so far."""

    def __init__(self) -> None:
        self.mistakes = Mistakes()
        self.known: dict[tuple[str, str], Known] = {}

    def take(self, document: Document) -> None:
        """Look at the shape, the name and the labels of one object, and keep it."""
        if not isinstance(document.value, dict):
            self.wrong(document, (), "is no object", expected=FILES.object)
            return
        if other := foreign(document.value):
            self.wrong(document, other.key, other.what, expected="OpenSLO v1 (docs/slo.md)", hint=other.hint)
            return
        kind = document.value.get("kind")
        if not isinstance(kind, str | None) or kind not in schema.KINDS:
            if kind is None:
                hint = next((meant(str(key), ["kind"]) for key in document.value if meant(str(key), ["kind"])), "")
                self.wrong(document, (), "'kind' is missing", expected=" or ".join(schema.KINDS), hint=hint)
            else:
                self.wrong(
                    document,
                    ("kind",),
                    f"{kind!r}",
                    expected=" or ".join(schema.KINDS),
                    hint=meant(str(kind), schema.KINDS),
                )
            return
        found: Any
        found, document = self.mistakes.read(document, schema.KINDS[kind], advice=advice)
        self._metadata(document, found.metadata)
        if len(getattr(found.spec, "description", "")) > DESCRIPTION_MAX:
            self.wrong(
                document, ("spec", "description"), "is too long", expected=f"at most {DESCRIPTION_MAX} characters"
            )
        key = (kind, found.metadata.name)
        if key in self.known:
            first = self.known[key].document
            position = first.at(("metadata", "name"))
            self.wrong(
                document,
                ("metadata", "name"),
                f"{kind} {found.metadata.name!r} twice, first at {first.file}:{position.line}",
            )
            return
        self.known[key] = Known(document, found)

    def _metadata(self, document: Document, metadata: schema.Metadata) -> None:
        if not _NAME.fullmatch(metadata.name):
            expected = "at most 63 lower-case letters, digits and dashes, a letter or digit at both ends"
            self.wrong(document, ("metadata", "name"), f"{metadata.name!r} is no name", expected=expected)
        for label in metadata.labels:
            if not _LABEL.fullmatch(label):
                self.wrong(
                    document, ("metadata", "labels", label), f"{label!r} is no label", expected="letters, digits, - _ ."
                )
        for annotation in metadata.annotations:
            prefix, slash, name = annotation.rpartition("/")
            if not _LABEL.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
                self.wrong(
                    document,
                    ("metadata", "annotations", annotation),
                    f"{annotation!r} is no annotation",
                    expected="name or prefix/name",
                )
            elif prefix == "servedrill" and annotation not in ANNOTATIONS:
                self.wrong(
                    document,
                    ("metadata", "annotations", annotation),
                    f"unknown annotation {annotation!r}",
                    expected=" or ".join(ANNOTATIONS),
                    hint=meant(annotation, ANNOTATIONS),
                )

    def prometheus_url(self) -> str:
        """Of the first data source of type Prometheus; empty without one."""
        for (kind, _), known in self.known.items():
            if kind == "DataSource" and known.object.spec.type.lower() == "prometheus":
                return str(known.object.spec.connection_details.get("url", ""))
        return ""

    def named(self, kind: str, name: str, document: Document, key: Key) -> Known | None:
        """The object that is referred to at ``key``; without one that is a mistake there."""
        if found := self.known.get((kind, name)):
            return found
        names = [one for other, one in self.known if other == kind]
        expected = " or ".join(names) or f"an object of kind {kind}"
        self.wrong(document, key, f"no {kind} {name!r}", expected=expected, hint=meant(name, names))
        return None

    def wrong(self, document: Document, key: Key, what: str, *, expected: str = "", hint: str = "") -> None:
        """See `servedrill.files.mistakes`, which also says how to add a rule."""
        self.mistakes.wrong(document, key, what, expected=expected, hint=hint)
