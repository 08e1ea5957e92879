"""JSON Schemas of everything that a run writes, and of what people write, made from the types that stand for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from servedrill.errors import UsageError
from servedrill.files.whole import write_whole
from servedrill.history.events import KnownEvent
from servedrill.judging.verdict import Verdict
from servedrill.runs.about import About

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Files = dict[str, tuple[str, Any]]
"""File name -> what it is about, and the type."""
FILES: Files = {
    "run.schema.json": ("run.json: what a run was asked for", About),
    "verdict.schema.json": ("verdict.json: what one drill came to", Verdict),
    "verdicts.schema.json": ("verdicts.json: what every drill of a run came to", list[Verdict]),
    "event.schema.json": ("one line of history.jsonl", KnownEvent),
}


def schemas(more: Files) -> dict[str, bytes]:
    """File name -> content, of what a run writes and of ``more``."""
    made = {}
    for name, (title, kind) in {**FILES, **more}.items():
        schema = {"$schema": DIALECT, "title": title, **msgspec.json.schema(kind)}
        if kind is KnownEvent:
            for event in schema["$defs"].values():
                event["properties"].pop("extra", None)  # of the reader, never of a line
        made[name] = msgspec.json.format(msgspec.json.encode(schema), indent=1) + b"\n"
    return made


def write_schemas(folder: Path, more: Files) -> list[Path]:
    """Write all of them into a folder. Raises `UsageError` where that cannot be."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in schemas(more).items():
            write_whole(folder / name, content)
            written.append(folder / name)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(folder), expected="a folder") from error
    return written
