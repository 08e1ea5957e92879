"""Reads stack files: all that is wrong with one is said at once, before anything starts.

What any stack file has to be is looked at here, what one of its kind has to be by the kind itself, see
`servedrill.stacks.kinds`. How to add a rule: `servedrill.files.mistakes`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from servedrill.errors import FileError, UsageError
from servedrill.files.documents import Document, Kind, read_documents
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key, Mistake
from servedrill.history.promises import with_assumed
from servedrill.stacks.address_rules import check_urls
from servedrill.stacks.commands import Command, expanded
from servedrill.stacks.file import StackFile
from servedrill.stacks.kinds import PARTS, StackKind, kind_named, kinds_that_read
from servedrill.stacks.proxy_rules import check_hops, check_proxy
from servedrill.stacks.secrets_of import learn_secrets

FILES = Kind(
    file="a stack file, or no --drill-stack for the embedded stack",
    object='a stack, such as kind = "embedded"',
    otherwise="TOML",
)
_NICE_MAX = 19


def read_stack_file(path: Path | None) -> StackFile:
    """The file's content; the embedded stack with its defaults when there is none.

    Raises `FileError` with every mistake in it. The secrets that it leads to are known from then on.
    """
    if path is None:
        return StackFile()
    file, mistakes = _read(path)
    if mistakes:
        raise FileError(map(str, mistakes))
    learn_secrets(file)
    return file


def check_stack_files(paths: Sequence[Path]) -> list[Mistake]:
    """Every mistake in the files, one file after the other, from top to bottom."""
    return [mistake for path in paths for mistake in _read(path)[1]]


def advice(key: Key, value: Any) -> tuple[str, str] | None:
    """What a value of a wrong type was probably meant to be; see `servedrill.files.shapes.Advice`."""
    if key and key[-1] in ("command", "after", "mounts", "hops") and isinstance(value, str):
        words = value.split() if key[-1] == "command" else [value]
        return "a list of texts", f"did you mean {json.dumps(words, ensure_ascii=False)}?"
    return None


def _read(path: Path) -> tuple[StackFile, list[Mistake]]:
    """What the file probably means, and what is wrong with it."""
    mistakes = Mistakes()
    documents, mistakes.found = read_documents(path, FILES)
    if not documents:
        return StackFile(), mistakes.listed([path])
    for another in documents[1:]:
        mistakes.wrong(another, (), "another stack", expected="one in a file")
    kind = _kind_of(mistakes, documents[0])
    file, document = mistakes.read(documents[0], kind.file if kind else StackFile, advice=advice)
    _check(mistakes, document, file, kind)
    found = mistakes.listed([path])
    if file.promises is not None and kind is not None and not kind.knows_its_promises:
        file = msgspec.structs.replace(file, promises=with_assumed(file.promises, document.value["promises"]))
    return (file if found else _expanded(file, path)), found


def _kind_of(mistakes: Mistakes, document: Document) -> StackKind | None:
    """None where nobody knows it, which is noted, or where it is no text, which is noted as any wrong shape is."""
    name = document.value.get("kind", StackFile().kind) if isinstance(document.value, dict) else None
    if not isinstance(name, str):
        return None
    try:
        return kind_named(name, where=document.file)
    except UsageError as error:
        mistakes.wrong(document, ("kind",), error.what, expected=error.expected, hint=error.hint)
        return None


def _expanded(file: StackFile, path: Path) -> StackFile:
    """With a command for each process."""
    commands: list[Command] = [*file.process, *file.container]
    process, container = expanded(file.process, commands), expanded(file.container, commands)
    return msgspec.structs.replace(file, process=process, container=container, path=str(path))


def _check(mistakes: Mistakes, document: Document, file: StackFile, kind: StackKind | None) -> None:
    if not 0 <= file.nice <= _NICE_MAX:
        mistakes.wrong(document, ("nice",), f"is {file.nice}", expected=f"0 to {_NICE_MAX}")
    if file.environment == "production" and not file.blast_radius:
        expected = 'what a drill may cost users at worst, in a sentence: blast_radius = "..."'
        mistakes.wrong(document, ("environment",), "is production, and there is no blast_radius", expected=expected)
    check_proxy(mistakes, document, file.proxy, on_loopback=kind is not None and kind.on_loopback)
    if kind is None:
        return
    for part in PARTS:
        if getattr(file, part) and part not in kind.reads:
            expected = " or ".join(f'kind = "{name}"' for name in kinds_that_read(part))
            mistakes.wrong(document, (part,), f'has no use where kind is "{file.kind}"', expected=expected)
    if kind.needs_promises and file.promises is None:
        expected = "at least the model that users ask for: [promises] model"
        mistakes.wrong(document, ("promises",), "is missing", expected=expected)
    if file.promises is not None and not file.promises.model:
        mistakes.wrong(document, ("promises", "model"), "is empty", expected="the model that users ask for")
    check_urls(mistakes, document, file)
    groups = kind.check(mistakes, document, file)
    if groups is not None:
        check_hops(mistakes, document, file.proxy, groups)
