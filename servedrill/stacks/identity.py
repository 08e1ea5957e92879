"""What a stack is called where two runs must not meet: by a lock, whatever its file is called."""

from __future__ import annotations

from pathlib import Path

from servedrill.stacks.file import StackFile


def identity_of(file: StackFile, runs: Path) -> str:
    """The URL where users come in, for a stack of somebody else; for one that we start from a file, the file.

    The embedded stack is another one each time: what may not meet there are runs in one folder, which take each other's
    cores.
    """
    if file.external is not None:
        return file.external.url.rstrip("/")
    if file.kind == "embedded":
        return f"embedded in {runs.resolve()}"
    return f"{file.name} of {Path(file.path).resolve()}"
