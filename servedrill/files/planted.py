"""Several files written into somebody's folder: all of them or none, and nothing over what is there."""

from __future__ import annotations

import contextlib
import difflib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from servedrill.errors import UsageError


@dataclass(frozen=True, slots=True)
class Planned:
    """One file of them."""

    path: str
    """Relative to the folder."""
    before: str | None
    """None: there is none."""
    after: str

    @property
    def changes(self) -> bool:
        """Whether what is there would be another file."""
        return self.before is not None and self.before != self.after

    def diff(self) -> str:
        """As `diff -u` has it; empty where nothing changes."""
        old, new = (self.before or "").splitlines(), self.after.splitlines()
        return "\n".join(difflib.unified_diff(old, new, f"{self.path} (yours)", self.path, lineterm=""))


def planned(folder: Path, texts: Mapping[str, str]) -> list[Planned]:
    """What writing them would do. Raises `UsageError` for a file that is there and cannot be read."""
    found = []
    for path, text in texts.items():
        there = folder / path
        try:
            before = there.read_text(encoding="utf-8") if there.exists() else None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"is there, and cannot be read: {error}", where=str(there)) from error
        found.append(Planned(path, before, text))
    return found


def plant(folder: Path, files: list[Planned]) -> None:
    """Write them beside, then put all of them in place.

    Raises `UsageError` where that cannot be done; the folder is as it was then.
    """
    made: list[Path] = []
    try:
        beside = Path(tempfile.mkdtemp(prefix=".servedrill-init-", dir=folder))
    except OSError as error:
        raise _refused(folder, error) from error
    try:
        for number, file in enumerate(files):
            (beside / str(number)).write_text(file.after, encoding="utf-8")
        for number, file in enumerate(files):
            _make_folders((folder / file.path).parent, made)
            made.append(folder / file.path)
            (beside / str(number)).replace(folder / file.path)
    except OSError as error:
        _undo(folder, files, made)
        raise _refused(folder, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _make_folders(folder: Path, made: list[Path]) -> None:
    if not folder.is_dir():
        _make_folders(folder.parent, made)
        folder.mkdir()
        made.append(folder)


def _undo(folder: Path, files: list[Planned], made: list[Path]) -> None:
    before = {folder / file.path: file.before for file in files}
    for path in reversed(made):
        with contextlib.suppress(OSError):
            if (text := before.get(path)) is not None:
                path.write_text(text, encoding="utf-8")
            elif path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def _refused(folder: Path, error: OSError) -> UsageError:
    where = str(error.filename or folder)
    return UsageError(
        f"cannot be written: {os.strerror(error.errno) if error.errno else error}",
        where=where,
        expected="a folder that files can be written to",
        hint="nothing was written; --folder DIR names another one",
    )
