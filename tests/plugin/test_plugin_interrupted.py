"""Ctrl-C while a stack starts, and kill -9 of a worker that has a drill: it ends, it is told, and nothing is left."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servedrill.host.clock import wait_for
from servedrill.host.processes import with_variable
from servedrill.leases.reader import open_leases

ROOT = Path(__file__).parents[2]
ALONE = {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
OURS = ("-p", "servedrill.plugin", "-p", "fixtures.drill", "--drill-runs", "runs", "--drill-no-report")
TRIAL = "SERVEDRILL_TRIAL"
SICK = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *about): pass
    def do_GET(self):
        self.send_response(503)
        self.end_headers()
    do_POST = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", %d), Handler).serve_forever()
"""
PROMISES = '[promises]\nmodel = "toy"\nversion = "v1"\n'
SMALL = "[embedded]\nengines = 1\ngateways = 1\n"


class Running:
    """pytest with drills, and everything that comes of it by a mark of its own."""

    def __init__(self, folder: Path, test: str, *arguments: str, **environment: str) -> None:
        (folder / "test_it.py").write_text(test)
        self.folder, self.mark = folder, secrets.token_hex(8)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *OURS, *arguments],
            cwd=folder,
            env={**os.environ, **ALONE, **environment, TRIAL: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self) -> tuple[int, str]:
        text, _ = self.process.communicate(timeout=120)
        return self.process.returncode, text

    @property
    def ledger(self) -> Path:
        return self.folder / "runs" / "latest" / "leases.jsonl"

    def log(self, name: str) -> str:
        """What a process of the stack has written."""
        return "".join(path.read_text() for path in self.folder.glob(f"runs/latest/*/logs/{name}.log"))

    def nothing_left(self) -> None:
        wait_for(lambda: not with_variable(f"{TRIAL}={self.mark}"), what="every process to end", within_s=60)
        assert open_leases(self.ledger) == []
        groups = re.findall(r"/sys/fs/cgroup/[^\"]+", self.ledger.read_text())
        assert not [group for group in groups if Path(group).exists()]


def commands(folder: Path) -> tuple[str, Callable[[Running], bool]]:
    """An engine whose health never comes."""
    (folder / "server.py").write_text(SICK % 0)
    engine = '[[process]]\nname = "engine"\nrole = "engine"\ncommand = ["{python}", "{here}/server.py"]\n'
    return (
        f'kind = "process"\n{PROMISES}{engine}ready = {{ within_s = 600.0 }}\n',
        lambda run: len(with_variable(f"{TRIAL}={run.mark}")) >= 5,
    )  # pytest, watchdog, proxy, supervisor, engine


def embedded(folder: Path) -> tuple[str, Callable[[Running], bool]]:
    """In the moment in which its processes are about to start."""
    return SMALL, lambda run: len(open_leases(run.ledger)) >= 2


@pytest.fixture
def silent_socket(tmp_path: Path) -> Iterator[Path]:
    """A Docker Engine that takes connections and says nothing."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


def interrupted(running: Running, when: Callable[[], bool]) -> str:
    wait_for(when, what="the stack to be starting", within_s=60)
    running.process.send_signal(signal.SIGINT)
    status, text = running.ended()
    assert status == 2, text
    assert text.count("no drill was begun; what its stack wrote is in ") == 1
    assert "Traceback" not in text and "usage:" not in text
    running.nothing_left()
    return text


@pytest.mark.parametrize("kind", [commands, embedded], ids=lambda kind: kind.__name__)
def test_ctrl_c_ends_a_stack_that_starts(
    tmp_path: Path, kind: Callable[[Path], tuple[str, Callable[[Running], bool]]]
) -> None:
    """However long it may yet take: exit code 2 and not what the stack would have come to, one line, nothing left."""
    text, starting = kind(tmp_path)
    (tmp_path / "stack.toml").write_text(text)
    running = Running(tmp_path, "def test_it(drill): pass\n", "--drill-stack", "stack.toml")
    interrupted(running, lambda: starting(running))


def test_ctrl_c_ends_the_first_look_at_a_stack_of_somebody_else(tmp_path: Path) -> None:
    """Which may go on for half a minute where nothing answers."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer_never() -> None:
            connection, _ = server.accept()
            with connection:
                asked.set()
                connection.recv(1 << 16)
                connection.recv(1)

        thread = threading.Thread(target=answer_never)
        thread.start()
        (tmp_path / "stack.toml").write_text(
            f'kind = "external"\n{PROMISES}[external]\nurl = "http://127.0.0.1:{port}"\n'
        )
        running = Running(tmp_path, "def test_it(drill): pass\n", "--drill-stack", "stack.toml")
        interrupted(running, asked.is_set)
        thread.join()


def test_ctrl_c_ends_the_wait_for_a_docker_engine(tmp_path: Path, silent_socket: Path) -> None:
    """Whose client would wait a minute for each answer."""
    container = '[[container]]\nname = "engine"\nrole = "engine"\nimage = "no-such-image"\n'
    (tmp_path / "stack.toml").write_text(f'kind = "docker"\n{PROMISES}{container}')
    running = Running(
        tmp_path, "def test_it(drill): pass\n", "--drill-stack", "stack.toml", DOCKER_HOST=f"unix://{silent_socket}"
    )
    connected = f" {silent_socket}"  # the socket's name is in the kernel's table once for each end
    interrupted(running, lambda: Path("/proc/net/unix").read_text().count(connected) >= 2)


DRILL = """
import os
from pathlib import Path
from servedrill.drill.traffic import chat
from servedrill.faults.network import latency

def test_a_drill(drill):
    drill.load(chat(rate=10))
    with drill.broken(latency(drill.stack, "engine-0", ms=1)):
        Path("broken").write_text(str(os.getpid()))
        drill.hold(120)

def test_another(drill):
    pass
"""


def test_a_worker_that_is_killed_in_a_drill_is_told(tmp_path: Path) -> None:
    """Its watchdog heals, the table says that the drill did not get to its end, and the exit status is 6."""
    (tmp_path / "stack.toml").write_text(SMALL)
    xdist = ("-p", "xdist.plugin", "-p", "xdist.looponfail", "-n1")
    running = Running(tmp_path, DRILL, "--drill-stack", "stack.toml", *xdist)
    broken = tmp_path / "broken"
    wait_for(lambda: broken.exists() and broken.read_text() != "", what="the drill", within_s=60)
    os.kill(int(broken.read_text()), signal.SIGKILL)
    status, text = running.ended()
    assert status == 6, text
    assert re.search("^INCONCLUSIVE: .*::test_a_drill: worker 'gw0' crashed .*: not the stack's doing$", text, re.M), (
        text
    )
    assert re.search(r"a_drill\s+INCONCLUSIVE", text), text
    assert f"seed {json.loads((tmp_path / 'runs/latest/run.json').read_text())['seed']}; run again" in text
    running.nothing_left()
    verdicts = json.loads((tmp_path / "runs" / "latest" / "verdicts.json").read_text())
    assert {verdict["drill"]: verdict["answer"] for verdict in verdicts}["a_drill"] == "inconclusive"
