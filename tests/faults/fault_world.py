"""Things to break: processes that only sleep, files that only say on or off, a server that only remembers, faults
that fail in one way each."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from servedrill.faults.fault import Evidence
from servedrill.host.clock import wait_for
from servedrill.host.processes import ProcessId, identify, read_status
from servedrill.leases.undo import MARK, Undo, WriteFile


class Sleeper:
    """A process that sleeps until it is ended, with a mark, in a session of its own: nobody's Ctrl-C reaches it."""

    def __init__(self, *command: str) -> None:
        self.mark = secrets.token_hex(8)
        self.process = subprocess.Popen(
            command or ("sleep", "120"),
            start_new_session=True,
            stdout=subprocess.PIPE,
            env={**os.environ, MARK: self.mark},
        )
        identity = identify(self.process.pid)
        assert identity is not None
        self.identity: ProcessId = identity

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def state(self) -> str:
        """As in proc(5); Z once it was killed and nobody has asked."""
        status = read_status(self.pid)
        return status.state if status is not None else ""

    @property
    def running(self) -> bool:
        """Neither stopped nor gone."""
        return self.state in ("R", "S", "D")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: self.state == "T", what="the sleeper to be stopped", within_s=30, every_s=0.002)

    @property
    def record(self) -> dict[str, int]:
        """How undo records name it."""
        return {"pid": self.identity.pid, "start_ticks": self.identity.start_ticks}


@contextlib.contextmanager
def sleeper(*command: str) -> Iterator[Sleeper]:
    """A sleeper for the block."""
    made = Sleeper(*command)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        assert made.process.stdout is not None
        made.process.stdout.close()


class RememberingServer:
    """Answers everything with one status and remembers what it was asked."""

    def __init__(self, *, status: int = 200) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.state: dict[str, Any] = {}
        remembering = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                remembering.calls.append((self.command, self.path, body))
                page = json.dumps(remembering.state).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  # the names that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> RememberingServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Lamp:
    """A fault of our own: a file that says ``on`` while it is in place. ``log`` tells what was done, in order."""

    def __init__(self, path: Path, log: list[str]) -> None:
        self.path, self.log = path, log
        self.name, self.target = "lamp", path.name
        self.attributes: dict[str, Any] = {"bright": True}
        path.write_text("off")

    @property
    def on(self) -> bool:
        return self.path.read_text() == "on"

    def undo(self) -> list[Undo]:
        return [WriteFile(path=str(self.path), text="off")]

    def inject(self) -> None:
        self.log.append(f"inject {self.target}")
        self.path.write_text("on")

    def evidence(self) -> Evidence:
        self.log.append(f"look at {self.target}")
        return Evidence(proven=self.on, observed=f"{self.target} is {self.path.read_text()}", figures={"lumen": 1.0})

    def heal(self) -> Evidence:
        self.log.append(f"heal {self.target}")
        self.path.write_text("off")
        return Evidence(proven=not self.on, observed=f"{self.target} is {self.path.read_text()}")


class LampThatStaysOn(Lamp):
    """Healing it works only in its own eyes."""

    def heal(self) -> Evidence:
        self.log.append(f"heal {self.target}")
        return Evidence(proven=not self.on, observed=f"{self.target} is {self.path.read_text()}")


class LampThatBreaks(Lamp):
    """One of its steps raises, once it has done its work."""

    def __init__(self, path: Path, log: list[str], *, at: str, error: BaseException) -> None:
        super().__init__(path, log)
        self.at, self.error = at, error

    def _break(self, step: str) -> None:
        if step == self.at:
            raise self.error

    def undo(self) -> list[Undo]:
        self._break("undo")
        return super().undo()

    def inject(self) -> None:
        super().inject()
        self._break("inject")

    def evidence(self) -> Evidence:
        evidence = super().evidence()
        self._break("evidence")
        return evidence

    def heal(self) -> Evidence:
        healed = super().heal()
        self._break("heal")
        return healed


PARENT = """
import sys
from pathlib import Path
import msgspec
from servedrill.host.clock import now_ns
from servedrill.leases.guard import Guard
from servedrill.leases.undo import Undo

guard = Guard(Path(sys.argv[1]))
deadline_ns = int(sys.argv[3]) and now_ns() + int(sys.argv[3])
undos = msgspec.json.decode(sys.argv[2], type=list[Undo])
leases = [guard.ledger.open("lease", [undo], deadline_ns=deadline_ns) for undo in undos]
print(guard.pid, flush=True)
for line in sys.stdin:
    if line == "heal\\n":
        for lease in leases:
            guard.ledger.close_lease(lease)
    if line == "heal the first\\n":
        guard.ledger.close_lease(leases[0])
    if line == "bye\\n":
        guard.close()
    print("done", flush=True)
"""


class Parent:
    """A process that has broken things under a guard of its own, and waits."""

    def __init__(self, folder: Path, undo: list[Undo], *, deadline_ns: int = 0) -> None:
        arguments = [str(folder), msgspec.json.encode(undo).decode(), str(deadline_ns)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        watchdog, identity = identify(int(self.process.stdout.readline())), identify(self.process.pid)
        assert watchdog is not None
        assert identity is not None
        self.watchdog: ProcessId = watchdog
        self.identity: ProcessId = identity

    def tell(self, word: str) -> None:
        """Say a word and wait until it is done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def watchdog_gone(self, *, within_s: float = 30.0) -> float:
        return wait_for(lambda: not self.watchdog.alive, what="the watchdog to end", within_s=within_s)

    def __enter__(self) -> Parent:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.watchdog_gone()
