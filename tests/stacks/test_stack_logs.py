"""What the processes of a stack say is kept in the folder of the run, without secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stack_world import Remembering
from toy_stack import up, written

from servedrill.host.clock import wait_for
from servedrill.secrecy.known import KNOWN, MASK
from servedrill.secrecy.lines import Lines, LogPipe

LEAKY = '''
file = [{path = "conf/keys.yaml", text = "key: {env:TOY_KEY}"}]
[[process]]
name = "leaky"
command = ["{python}", "-c", """
import os, sys, time
key, end = os.environ["SAID"], time.monotonic() + 60
half = len(key) // 2
print(open("conf/keys.yaml").read(), flush=True)
while time.monotonic() < end:
    for part in ("say ", key[:half], key[half:], chr(10)):
        os.write(1, part.encode())
        time.sleep(0.01)
    print(repr(key), file=sys.stderr, flush=True)
    time.sleep(0.1)
"""]
env = {SAID = "{env:TOY_KEY}"}
ready = {path = "", log = "say "}
restart = {policy = "never"}
[[process]]
name = "dying"
command = ["{python}", "-c", "import os, sys; sys.stderr.write('last words ' + os.environ['SAID'])"]
env = {SAID = "{env:TOY_KEY}"}
ready = {path = "", log = "last words"}
restart = {policy = "never"}
'''


def test_logs_and_files_of_processes_are_kept_without_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a process says, in pieces or as its last word; a file that it reads has the key while it lives."""
    monkeypatch.setenv("TOY_KEY", key := "sk-7391/'x\"y")
    top, processes = LEAKY.strip().split("\n", 1)
    path = written(tmp_path, top=top, engine="")
    path.write_text(path.read_text() + processes)
    folder = tmp_path / "run"
    with up(path, folder, Remembering("process", "file", "proxy")):
        conf = folder / "conf" / "keys.yaml"
        assert (conf.read_text(), conf.stat().st_mode & 0o777) == (f"key: {key}", 0o600)
        wait_for(lambda: (folder / "logs/leaky.log").read_text().count("say •••\n") > 3, what="its words", within_s=60)
        logs = {log.name: log.read_text() for log in (folder / "logs").glob("*.log")}
    assert conf.read_text() == "key: •••"
    assert logs["dying.log"] == "last words •••"
    assert logs["leaky.log"].startswith("key: •••\n")
    assert not [file for file in folder.rglob("*") if file.is_file() and "7391" in file.read_text(errors="replace")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_log_may_be_split_anywhere(size: int) -> None:
    """The key is found all the same, and all else is as it was."""
    KNOWN.learn("sk-7391-abc")
    said = b"a sk-7391-abc b\nc\nsk-7391-abc sk-7391-ab\n\nend sk-7391-abc"
    lines = Lines()
    got = b"".join(lines.feed(said[n : n + size]) for n in range(0, len(said), size)) + lines.end()
    assert got.decode() == f"a {MASK} b\nc\n{MASK} sk-7391-ab\n\nend {MASK}"


@pytest.mark.parametrize("before", [0, 65_520, 65_530, 65_536])
def test_a_line_without_an_end_is_not_kept_for_ever(before: int) -> None:
    """But what may still become a key is."""
    KNOWN.learn("sk-7391-abc")
    lines, said = Lines(), b"x" * before + b"sk-7391-abc" + b"y" * 200_000
    got = b""
    for n in range(0, len(said), 1000):
        got += lines.feed(said[n : n + 1000])
        assert n + 1000 - len(got) < 80_000
    assert (got + lines.end()).decode() == "x" * before + MASK + "y" * 200_000


def test_a_full_disk_keeps_nobody_waiting() -> None:
    """What cannot be written is left out, and who says it goes on."""
    pipe = LogPipe(Path("/dev/full"))
    with os.fdopen(pipe.inlet, "wb", buffering=0) as inlet:
        for _ in range(40):
            inlet.write(b"x" * 60_000 + b"\n")
            assert pipe.take()
    assert not pipe.take()
