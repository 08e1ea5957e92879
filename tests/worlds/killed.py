"""Attacks: something is killed in the first moments of something that starts, and the machine is looked at.

Every Python process of a run says when it is about to start another one (an audit hook, put in place by a
``sitecustomize`` on the path). After one of these moments, and 0 to 50 ms more, SIGKILL goes to pytest, to whoever
starts something, or to what has just been started.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from servedrill.host.clock import wait_for
from servedrill.host.ports import free_ports
from servedrill.host.processes import with_variable
from servedrill.leases.reader import open_leases
from tests.worlds.speakers import Speaks, speaking

ROOT = Path(__file__).parents[2]
FIRST_S = 0.05
TRIAL = "SERVEDRILL_TRIAL"
BIRTHS = "SERVEDRILL_BIRTHS"
LEFT_WITHIN_S = 30.0
"""What is not gone by then is left: a busy machine takes a while."""
ENDS_WITHIN_S = 90.0
"""Where pytest is not what was killed."""
SITE = """
import os, sys
try:
    _births = os.open(os.environ["SERVEDRILL_BIRTHS"], os.O_WRONLY | os.O_NONBLOCK)
except OSError:
    pass
else:
    def _told(event, arguments):
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
            try:
                os.write(_births, b"%d\\n" % os.getpid())
            except OSError:
                pass
    sys.addaudithook(_told)
"""
DRILL = """
import signal
from servedrill.drill.traffic import chat
from servedrill.errors import ServedrillError
from servedrill.faults.memory import MemoryBallast
from servedrill.faults.network import latency
from servedrill.faults.process import ProcessKill
import pytest

@pytest.mark.drill_uses("MemoryLimited")
def test_it(drill):
    drill.load(chat(rate=10))
    with drill.broken(latency(drill.stack, "engine-0", ms=1), window="a"):
        drill.hold(0.3)
    if drill.can("MemoryLimited", part="memory"):
        with drill.broken(MemoryBallast(drill.stack, "engine-0", back_within_s=5), window="b"):
            drill.hold(0.1)
    else:
        with drill.broken(ProcessKill(drill.stack, "engine-0", back_within_s=5), window="b"):
            drill.hold(0.1)
"""
EMBEDDED = """
[embedded]
engines = 1
gateways = 1
settings = { engine_limits = { blocks = 64 } }
"""
COMMANDS = """
kind = "process"
[promises]
model = "chat-model"
version = "v1"
[[process]]
name = "engine-0"
role = "engine"
command = ["{python}", "-c", '''
import http.server, subprocess, sys
core = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *about): pass
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    do_POST = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
''', "{port}"]
[dialect]
routes = ["chat"]
"""
EXTERNAL = """
kind = "external"
[promises]
model = "chat-model"
version = "v1"
[external]
url = "UPSTREAM"
[proxy]
server = "http://PROXY"
[[replica]]
name = "engine-0"
role = "engine"
url = "UPSTREAM"
listen = "127.0.0.1:LISTEN"
metrics = "none"
hooks = { kill = "sleep 0.2", restart = "sleep 0.2", identity = "date +%N" }
[dialect]
routes = ["chat"]
"""
KINDS = {"embedded": 24, "process": 10, "external": 8}
"""How many births of one are worth an attack: about as many as there are."""


@dataclass(frozen=True)
class Trial:
    """``left`` is what should not be there."""

    kind: str
    birth: int
    delay_s: float
    target: str
    left: list[str]

    def __str__(self) -> str:
        when = f"{self.kind}, birth {self.birth} and {self.delay_s * 1e3:.0f} ms: {self.target}"
        return f"{when}: {'LEFT ' + '; '.join(self.left) if self.left else 'nothing left'}"


@contextlib.contextmanager
def proxy_of_somebody_else() -> Iterator[str]:
    """A fault proxy that is there before and after; its address."""
    port = free_ports(1)[0]
    with subprocess.Popen(
        [sys.executable, "-m", "servedrill.toxiproxy", "--port", str(port)], stderr=subprocess.DEVNULL
    ) as process:

        def up() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"http://127.0.0.1:{port}/version").status_code == 200
            return False

        try:
            wait_for(up, what="the fault proxy", within_s=60)
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def attacks(count: int, chance: random.Random) -> Iterator[Trial]:
    """``count`` trials, one after the other."""
    with proxy_of_somebody_else() as proxy, speaking(Speaks()) as upstream:
        for _ in range(count):
            with tempfile.TemporaryDirectory(prefix="servedrill-attack-") as folder:
                kind = chance.choice(list(KINDS))
                yield _attack(Path(folder), kind, chance, proxy=proxy, upstream=upstream)


def _attack(folder: Path, kind: str, chance: random.Random, *, proxy: str, upstream: str) -> Trial:
    listen = str(free_ports(1)[0])
    external = EXTERNAL.replace("UPSTREAM", upstream).replace("PROXY", proxy).replace("LISTEN", listen)
    (folder / "stack.toml").write_text({"embedded": EMBEDDED, "process": COMMANDS, "external": external}[kind])
    (folder / "test_it.py").write_text(DRILL)
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(SITE)
    os.mkfifo(folder / "births")
    heard = os.open(folder / "births", os.O_RDONLY | os.O_NONBLOCK)
    mark, birth, delay_s = secrets.token_hex(8), chance.randint(1, KINDS[kind]), chance.uniform(0, FIRST_S)
    target = chance.choices(("pytest", "starter", "child"), (6, 2, 2))[0]
    victim = _begin(folder, mark)
    try:
        starter = _after_birth(heard, victim, birth)
        time.sleep(delay_s)
        if starter is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(_aimed_at(target, victim.pid, starter, mark), signal.SIGKILL)
        else:
            target = "nobody: it had ended"
        with contextlib.suppress(subprocess.TimeoutExpired):
            victim.wait(ENDS_WITHIN_S)
        over_s = time.monotonic() + LEFT_WITHIN_S
        while (left := _left(folder, mark, proxy)) and time.monotonic() < over_s:
            time.sleep(0.05)
    finally:
        os.close(heard)
        for one in with_variable(f"{TRIAL}={mark}"):
            os.kill(one.pid, signal.SIGKILL)
        victim.wait()
    return Trial(kind, birth, delay_s, target, left)


def _begin(folder: Path, mark: str) -> subprocess.Popen[bytes]:
    ours = ("-p", "servedrill.plugin", "-p", "fixtures.drill", "-p", "no:cacheprovider", "--drill-runs", "runs")
    environment = {
        "PYTHONPATH": f"{folder / 'site'}:{ROOT}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
        BIRTHS: str(folder / "births"),
        TRIAL: mark,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *ours, "--drill-stack", "stack.toml", "--drill-no-report"],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _after_birth(heard: int, victim: subprocess.Popen[bytes], birth: int) -> int | None:
    """Who is about to start the process of that number; None where the run ended before."""
    told = b""
    while victim.poll() is None:
        if select.select([heard], [], [], 0.2)[0]:
            told += os.read(heard, 1 << 16)
            if not told:
                time.sleep(0.02)  # nobody has opened it yet
            if told.count(b"\n") >= birth:
                return int(told.split(b"\n")[birth - 1])
    return None


def _aimed_at(target: str, pytest: int, starter: int, mark: str) -> int:
    if target == "child":
        return max(with_variable(f"{TRIAL}={mark}"), key=lambda one: (one.start_ticks, one.pid)).pid
    return pytest if target == "pytest" else starter


def _left(folder: Path, mark: str, proxy: str) -> list[str]:
    """Processes, undo records that are open, cgroups, proxies with their toxics."""
    left = []
    for one in with_variable(f"{TRIAL}={mark}"):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{one.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            left.append(f"process {one.pid}: {command[:120]}")
    for ledger in folder.glob("runs/2*/leases.jsonl"):
        left += [f"lease {lease.lease}" for lease in open_leases(ledger)]
        groups = set(re.findall(r"/sys/fs/cgroup/[^\"]+", ledger.read_text()))
        left += [f"cgroup {group}" for group in sorted(groups) if Path(group).exists()]
    return left + [f"proxy {name}" for name in httpx.get(f"http://{proxy}/proxies", timeout=10).json()]


def main() -> int:
    """``python -m tests.worlds.killed [TRIALS] [SEED]``: a line for each; 1 where one left something."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    print(f"seed {seed}", flush=True)
    clean = 0
    for trial in attacks(count, random.Random(seed)):
        clean += not trial.left
        print(trial, flush=True)
    print(f"{clean} of {count} left nothing")
    return int(clean < count)


if __name__ == "__main__":
    sys.exit(main())
