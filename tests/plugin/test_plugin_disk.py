"""The operator's machine being full costs a line and no verdict; what was broken is healed first."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servedrill.host.clock import wait_for
from servedrill.host.ports import free_ports
from tests.worlds.hostile import hostile

ROOT = Path(__file__).parents[2]
DRILL = '''
"""It answers."""
import contextlib, os, shutil
from fixtures.drill import drill
from servedrill.checkers.answered import NoFailures
from servedrill.drill.traffic import chat
from servedrill.faults.network import latency

def trouble(drill):
    how = os.environ["HOW"]
    if how == "full":
        with contextlib.suppress(OSError), (drill.folder / "ballast").open("ab", buffering=0) as ballast:
            while True:
                ballast.write(b"x" * 256)
    if how == "folder gone":
        shutil.rmtree(drill.folder.parent)
    if how == "runs gone":
        shutil.rmtree(drill.folder.parent.parent, ignore_errors=True)

def test_talk(drill):
    drill.load(chat(rate=20))
    drill.baseline(0.8)
    with drill.broken(latency(drill.stack, "engine-0", ms=50)):
        drill.hold(0.4)
        trouble(drill)
        drill.hold(1.5)
    drill.expect(NoFailures(window="baseline"))
'''


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of two megabytes there."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here: not root, or a container without the right to")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def drilled(tmp_path: Path, how: str, *, limit: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    """A session of one drill on a stack of somebody else, through a proxy of ours."""
    (tmp_path / "test_talk.py").write_text(DRILL)
    with hostile({}) as url:
        listen = f"127.0.0.1:{free_ports(1)[0]}"
        (tmp_path / "stack.toml").write_text(
            f'kind = "external"\nname = "theirs"\n[external]\nurl = "http://{listen}"\n[dialect]\n'
            '[promises]\nmodel = "m"\noracle = "frames"\n'
            f'[[replica]]\nname = "engine-0"\nrole = "engine"\nurl = "{url}"\nlisten = "{listen}"\n'
        )
        command = ["pytest", "test_talk.py", "-p", "no:cacheprovider", "--drill-stack", "stack.toml"]
        return subprocess.run(
            [sys.executable, "-m", *command, "--drill-runs", "runs"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOW": how, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            preexec_fn=limit,
        )


def check(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    """A doubt, one line of why, the fault healed, and nothing left."""
    said = done.stdout + done.stderr
    assert done.returncode == 6, said
    assert "Traceback" not in said
    assert "healed latency on engine-0" in said
    assert said.count("not all of the run is on disk: ") == 1, said
    wait_for(lambda: not processes_of(folder), what="all processes of the run to end", within_s=60)


def processes_of(folder: Path) -> list[str]:
    """Command lines that name it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in line:
                found.append(line)
    return found


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """In the midst of a fault."""
    with small_disk(tmp_path / "runs"):
        check(drilled(tmp_path, "full"), tmp_path)


def test_a_history_that_may_not_grow(tmp_path: Path) -> None:
    """A quota, or a limit of this process: every write beyond it is refused."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    check(drilled(tmp_path, "", limit=limit), tmp_path)


@pytest.mark.parametrize("how", ["folder gone", "runs gone"])
def test_a_folder_that_somebody_removed(how: str, tmp_path: Path) -> None:
    """There is nothing to be judged, and that is said."""
    done = drilled(tmp_path, how)
    check(done, tmp_path)
    assert "no history to read" in done.stdout
