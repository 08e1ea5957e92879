"""What a log says of why something went wrong, however long it is."""

from __future__ import annotations

from pathlib import Path

from servedrill.files.logs import read_log, tail


def test_the_end_of_a_log_of_any_length(tmp_path: Path) -> None:
    """Its last MiB is read, and no more: engines write gigabytes."""
    path = tmp_path / "engine.log"
    with path.open("wb") as log:
        log.truncate(8 << 30)
        log.seek(0, 2)
        log.write(b"\nok\nerror: no \xff memory\nbye\n")
    assert len(read_log(path)) <= 1 << 20
    assert tail(path) == f"the end of {path}: error: no \ufffd memory"


def test_a_log_that_nobody_wrote(tmp_path: Path) -> None:
    """Says so."""
    assert tail(tmp_path / "none.log").endswith(": (empty)")
