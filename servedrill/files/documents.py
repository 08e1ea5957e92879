"""Files of objects, as plain data that still knows where each key and value stands.

YAML, JSON and TOML come to the same: a list of objects, and for each path in it a line and a column, so that a mistake
can be shown where it was made. Positions of YAML and JSON are those of PyYAML's nodes (JSON is read as JSON first; that
it is YAML too only tells where things stand), those of TOML are found by `servedrill.files.toml_positions`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from servedrill.files.places import START, Key, Mistake, Position, dotted
from servedrill.files.regular import read_regular
from servedrill.files.shipped import shipped
from servedrill.files.toml_positions import positions as toml_positions

SIZE_BYTES_MAX = 1 << 20
NODES_MAX = 50_000
"""Aliases of YAML can grow a small file beyond any memory."""
_TAG = "tag:yaml.org,2002:"
_TAGS: dict[type[yaml.Node], frozenset[str]] = {
    yaml.MappingNode: frozenset({"map"}),
    yaml.SequenceNode: frozenset({"seq"}),
    yaml.ScalarNode: frozenset({"str", "int", "float", "bool", "null", "timestamp", "value"}),
}
"""What a node of YAML can be; a tag that says anything else asks for what plain data has not."""
SUFFIXES = {".yaml": "YAML", ".yml": "YAML", ".json": "JSON", ".toml": "TOML"}


@dataclass(slots=True)
class Document:
    """One object of a file."""

    file: str
    value: Any = None
    keys: dict[Key, Position] = field(default_factory=dict)
    values: dict[Key, Position] = field(default_factory=dict)

    def at(self, key: Key) -> Position:
        """Where the key stands; that of the nearest key above where it is not known."""
        while key:
            if found := self.keys.get(key) or self.values.get(key):
                return found
            key = key[:-1]
        return self.values.get((), START)

    def value_at(self, key: Key) -> Position:
        """Where the value of the key stands."""
        return self.values.get(key) or self.at(key)

    def below(self, key: Key) -> Document:
        """The part under a key, as an object of its own."""
        value = self.value
        for step in key:
            value = value[step]

        def inside(positions: dict[Key, Position]) -> dict[Key, Position]:
            return {path[len(key) :]: at for path, at in positions.items() if path[: len(key)] == key}

        return Document(self.file, value, inside(self.keys), {**inside(self.values), (): self.value_at(key)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of file, in words for who gave another one."""

    file: str
    """``a file of SLOs``."""
    object: str
    """What an object has at least: ``apiVersion, kind, metadata, spec``."""
    several: bool = False
    """Whether a list of objects is so many objects, and ``objects: [...]`` too."""
    otherwise: str = ""
    """The format of files with another suffix than those of `SUFFIXES`; empty: they are not read."""


def read_documents(path: Path, kind: Kind) -> tuple[list[Document], list[Mistake]]:
    """Every object of a file, and what is wrong with the file as such; there is an object or a mistake."""
    form = SUFFIXES.get(path.suffix.lower(), kind.otherwise)
    if not form:
        return [], [
            Mistake(
                str(path),
                START,
                "",
                f"no kind of file that is read: {path.suffix or 'no suffix'}",
                expected=", ".join(SUFFIXES),
            )
        ]
    try:
        text = read_regular(shipped(path), bytes_max=SIZE_BYTES_MAX).decode("utf-8-sig")
    except OSError as error:
        return [], [Mistake(str(path), START, "", f"cannot be read: {error.strerror}", expected=kind.file)]
    except UnicodeDecodeError as error:
        what, hint = f"is no UTF-8 at byte {error.start}", "save it as UTF-8 in the editor"
        return [], [Mistake(str(path), START, "", what, expected="UTF-8", hint=hint)]
    reader: dict[str, Callable[[str, str], tuple[list[Document], list[Mistake]]]] = {
        "YAML": _yaml,
        "JSON": _json,
        "TOML": _toml,
    }
    try:
        documents, mistakes = reader[form](str(path), text)
    except RecursionError:
        return [], [Mistake(str(path), START, "", "is nested too deeply")]
    if kind.several:
        documents = [one for document in documents for one in _spread(document)]
    if not documents and not mistakes:
        mistakes = [Mistake(str(path), START, "", "no object in it", expected=kind.object)]
    return documents, mistakes


def _spread(document: Document) -> list[Document]:
    """A list of objects, or ``objects: [...]``, as the objects themselves."""
    if isinstance(document.value, list):
        return [document.below((index,)) for index in range(len(document.value))]
    if (
        isinstance(document.value, dict)
        and set(document.value) == {"objects"}
        and isinstance(document.value["objects"], list)
    ):
        return [document.below(("objects", index)) for index in range(len(document.value["objects"]))]
    return [document]


# ---- YAML


def _yaml(file: str, text: str) -> tuple[list[Document], list[Mistake]]:
    mistakes: list[Mistake] = []
    documents: list[Document] = []
    try:
        for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
            if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
                continue
            document = Document(file)
            builder = _FromNodes(document, mistakes)
            document.value = builder.build(node, ())
            documents.append(document)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Position(mark.line + 1, mark.column + 1) if mark else START
        mistakes.append(Mistake(file, where, "", f"is no YAML: {error.problem or error.context}"))
    except yaml.YAMLError as error:
        mistakes.append(Mistake(file, START, "", f"is no YAML: {str(error).splitlines()[0]}"))
    except _TooMuch:
        mistakes.append(
            Mistake(file, START, "", "grows too large through its aliases", expected=f"at most {NODES_MAX} values")
        )
    return documents, mistakes


class _TooMuch(Exception):
    """More values than any honest file has."""


class _FromNodes:
    """Data and positions from a composed YAML document."""

    def __init__(self, document: Document, mistakes: list[Mistake]) -> None:
        self.document, self.mistakes = document, mistakes
        self.loader = yaml.SafeLoader("")
        self.open: set[int] = set()
        self.nodes = 0

    def build(self, node: yaml.Node, key: Key) -> Any:
        self.nodes += 1
        if self.nodes > NODES_MAX:
            raise _TooMuch
        self.document.values[key] = _position(node)
        if id(node) in self.open:
            self._wrong(node, key, "refers to itself")
            return None
        if node.tag.removeprefix(_TAG) not in _TAGS[type(node)]:
            tag = f"!!{node.tag.removeprefix(_TAG)}" if node.tag.startswith(_TAG) else node.tag
            self._wrong(node, key, f"has the tag {tag}", expected="plain data, without a tag")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, key)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(one, (*key, index)) for index, one in enumerate(node.value)]
            return self._scalar(node, key)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        seen: dict[str, yaml.Node] = {}
        for name, _ in node.value:
            if not isinstance(name, yaml.ScalarNode):
                continue
            first = seen.setdefault(name.value, name)
            if first is not name:
                self._wrong(name, key, f"key {name.value!r} twice, first in line {first.start_mark.line + 1}")
        self.loader.flatten_mapping(node)  # what << brings, before what stands here
        found: dict[str, Any] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self._wrong(name, key, "a key that is no word")
                continue
            below = (*key, name.value)
            self.document.keys[below] = _position(name)
            found[name.value] = self.build(value, below)
        return found

    def _scalar(self, node: yaml.Node, key: Key) -> Any:
        if node.tag in (f"{_TAG}timestamp", f"{_TAG}value"):
            return node.value
        try:
            return self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError, OverflowError):
            self._wrong(node, key, f"cannot be read as {node.tag.removeprefix(_TAG)}")
            return None

    def _wrong(self, node: yaml.Node, key: Key, what: str, expected: str = "") -> None:
        self.mistakes.append(Mistake(self.document.file, _position(node), dotted(key), what, expected))


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


# ---- JSON


def _json(file: str, text: str) -> tuple[list[Document], list[Mistake]]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return [], [Mistake(file, Position(error.lineno, error.colno), "", f"is no JSON: {error.msg}")]
    except ValueError as error:  # a number of thousands of digits
        return [], [Mistake(file, START, "", f"cannot be read: {error}")]
    # A tab can only be white space here, and YAML has none of it.
    documents, mistakes = _yaml(file, text.replace("\t", " "))
    mistakes = [mistake for mistake in mistakes if mistake.what.startswith("key ")]
    document = documents[0] if documents else Document(file)
    document.value = value
    return [document], mistakes


# ---- TOML


def _toml(file: str, text: str) -> tuple[list[Document], list[Mistake]]:
    try:
        value = tomllib.loads(text)
    except ValueError as error:
        match = re.search(r"^(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", str(error))
        last = Position(text.count("\n") + 1, len(text) - text.rfind("\n"))
        where = Position(int(match[2]), int(match[3])) if match and match[2] else last
        return [], [Mistake(file, where, "", f"is no TOML: {match[1] if match else error}")]
    keys, values = toml_positions(text)
    return [Document(file, _words(value), keys, values)], []


def _words(value: Any) -> Any:
    """TOML's dates as the words that they were, as in the other two."""
    if isinstance(value, dict):
        return {name: _words(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_words(one) for one in value]
    return value if isinstance(value, str | int | float | bool) else str(value)
