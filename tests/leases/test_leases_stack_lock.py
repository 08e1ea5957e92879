"""One run at a time on a stack: the second is refused in one line, and no end of the first leaves a stack locked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from servedrill.errors import UsageError
from servedrill.leases.stack_lock import held, lock_folder

HOLDS = """
import sys
from pathlib import Path
from servedrill.leases.stack_lock import held
with held("staging", Path(sys.argv[1]), what="night drills", runs="runs"):
    print("held", flush=True)
    sys.stdin.read()
"""


def another(folder: Path) -> subprocess.Popen[str]:
    """A process that has the stack until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_is_told_who_has_the_stack(tmp_path: Path) -> None:
    """One line: which process, since when, what for, and what to do."""
    process = another(tmp_path)
    with pytest.raises(UsageError) as refused, held("staging", tmp_path):
        pass
    said = str(refused.value)
    assert said.startswith(f"stack 'staging': is taken by pid {process.pid} since 20")
    assert ": night drills; expected one run at a time on a stack; hint: wait" in said
    assert "\n" not in said
    with held("production", tmp_path):
        pass
    process.communicate("", timeout=120)
    with held("staging", tmp_path) as lock:
        assert lock.left_by is None


def test_a_run_that_was_killed_locks_nobody_out_and_is_named(tmp_path: Path) -> None:
    """Its watchdog may still be healing: whoever comes next is told whose, and where its runs are."""
    process = another(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    with held("staging", tmp_path) as lock:
        assert lock.left_by is not None
        assert (lock.left_by.pid, lock.left_by.what, lock.left_by.runs) == (
            process.pid,
            "night drills",
            f"{Path.cwd()}/runs",
        )
    with held("staging", tmp_path) as lock:
        assert lock.left_by is None


def test_the_same_process_cannot_take_it_twice(tmp_path: Path) -> None:
    """Two game days of one program are two."""
    with held("staging", tmp_path):
        with pytest.raises(UsageError, match=f"is taken by pid {os.getpid()} "), held("staging", tmp_path):
            pass
    with held("staging", tmp_path):
        pass


def test_half_a_file_is_no_holder(tmp_path: Path) -> None:
    """As a full disk leaves it, or a process that was killed while it wrote."""
    with held("staging", tmp_path):
        pass
    (file,) = tmp_path.iterdir()
    file.write_bytes(b'{"pid": 1, "wha')
    with held("staging", tmp_path) as lock:
        assert lock.left_by is None


def test_a_block_that_raises_lets_go(tmp_path: Path) -> None:
    """Whatever it raises."""
    with pytest.raises(KeyboardInterrupt), held("staging", tmp_path):
        raise KeyboardInterrupt
    with held("staging", tmp_path) as lock:
        assert lock.left_by is None


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """With the place, and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file.*no lock can be kept there: .*XDG_RUNTIME_DIR"):
        with held("staging", tmp_path / "file" / "below"):
            pass


def test_locks_are_in_the_runtime_folder_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is one: all runs of a user on a machine meet there, whatever their working folder is."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert lock_folder() == Path("/run/user/7/servedrill")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert lock_folder().name == f"servedrill-{os.getuid()}"
