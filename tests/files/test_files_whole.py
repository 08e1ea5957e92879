"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from servedrill.errors import UsageError
from servedrill.files.whole import write_whole


def test_what_stood_there_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    """A file is written over, and the folder holds that one file."""
    path = tmp_path / "page.html"
    path.write_bytes(b"before, and longer")
    write_whole(path, b"after")
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


def test_what_stood_there_stays_where_the_new_one_cannot_be_put(tmp_path: Path) -> None:
    """A folder in the way is left as it is, and so is everything beside it."""
    path = tmp_path / "page.html"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"page\.html: cannot be written: .*; expected a place for a file"):
        write_whole(path, b"after")
    assert list(tmp_path.rglob("*")) == [path, path / "inside"]


@pytest.mark.parametrize("parent", ["nowhere", "file"])
def test_no_folder_to_write_into_is_wrong_usage(parent: str, tmp_path: Path) -> None:
    """A folder that is not there, or that is a file, is said in one line."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        write_whole(tmp_path / parent / "page.html", b"after")
