"""Several files at once: all of them or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from servedrill.errors import UsageError
from servedrill.files.planted import planned, plant


def everything(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_they_are_all_there_and_nothing_else(tmp_path: Path) -> None:
    texts = {"a.toml": "a", "deep/er/b.py": "b"}
    plant(tmp_path, planned(tmp_path, texts))
    assert everything(tmp_path) == texts


def test_what_would_change_is_shown(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\ntwo\n")
    same, other, new = planned(tmp_path, {"a": "one\ntwo\n", "deep/b": "", "c": "x\n"})
    assert not same.changes and not other.changes and new.before is None
    [changed] = planned(tmp_path, {"a": "one\n2\n"})
    assert changed.changes and "-two" in changed.diff() and "+2" in changed.diff()


def test_where_one_cannot_be_written_none_is(tmp_path: Path) -> None:
    """And what stood there before stands there again."""
    (tmp_path / "a").write_text("before")
    (tmp_path / "in-the-way").write_text("a file")
    files = planned(tmp_path, {"a": "after", "new/b": "b", "in-the-way/c": "c"})
    with pytest.raises(UsageError, match="nothing was written"):
        plant(tmp_path, files)
    assert everything(tmp_path) == {"a": "before", "in-the-way": "a file"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "in-the-way"]


def test_a_folder_that_nothing_can_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> str:
        raise OSError(30, "Read-only file system", str(tmp_path / "x"))

    monkeypatch.setattr("tempfile.mkdtemp", refuses)
    with pytest.raises(UsageError, match=r"Read-only file system.*--folder DIR"):
        plant(tmp_path, planned(tmp_path, {"a": "a"}))
    assert everything(tmp_path) == {}


def test_what_is_there_and_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    (tmp_path / "b").mkdir()
    for name in "ab":
        with pytest.raises(UsageError, match="cannot be read"):
            planned(tmp_path, {name: "x"})
