"""A stack of commands that are toys: servers of a few lines, real processes behind real proxies."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from stack_world import Remembering

from servedrill.errors import UsageError
from servedrill.stacks.lifecycle import stack_up
from servedrill.stacks.process import ProcessStack
from servedrill.stacks.reading import read_stack_file

SERVER = """
import http.server, json, os, signal, subprocess, sys, time
port, version, quirk = int(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
if quirk == "dies" or version == "broken":
    sys.exit("ValueError: the weights are torn")
core = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "the-core"])
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *about): pass
    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        if self.path == ("/well" if quirk == "elsewhere" else "/health"):
            self.answer(503 if quirk == "sick" or core.poll() is not None else 200, {})
        elif self.path == "/v1/models":
            self.answer(200, {"data": [{"id": "toy"}]})
        elif self.path == "/env":
            self.answer(200, {"greeting": os.environ.get("GREETING"), "argv": sys.argv[1:]})
        else:
            self.answer(404, {})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or "{}")
        if quirk == "locked" and self.headers.get("authorization") != "Bearer sesame":
            self.answer(401, {"error": "who are you?"})
        elif body.get("model") != "toy":
            self.answer(404, {"error": "no such model"})
        else:
            self.answer(200, {"choices": [{"text": " hi", "finish_reason": "length"}], "system_fingerprint": version})
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("serving", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def written(
    folder: Path, *, promises: str = 'model = "toy"', engine: str = "", top: str = "", command: str = ""
) -> Path:
    """A stack file of one engine, with changes."""
    (folder / "server.py").write_text(SERVER)
    path = folder / "toy.toml"
    command = command or '["{python}", "{here}/server.py", "{port}", "{version}"]'
    path.write_text(
        textwrap.dedent(
            f"""
            kind = "process"
            name = "toy"
            {"" if top.startswith("[") else top}
            {top if top.startswith("[") else ""}
            [promises]
            version = "v1"
            {promises}
            [[process]]
            name = "engine"
            role = "engine"
            core = "the-core"
            command = {command}
            ready = {{ within_s = 10.0 }}
            restart = {{ backoff_s = 0.05 }}
            {engine}
            """
        )
    )
    return path


@contextlib.contextmanager
def up(path: Path, folder: Path, made: Remembering | None = None) -> Iterator[ProcessStack]:
    """It is up inside the block, with its logs in ``folder``."""
    file = read_stack_file(path)
    folder.mkdir(exist_ok=True)
    with stack_up(file, folder, on_undo=made or Remembering(), defects=[], seed=1, limit_memory=False) as stack:
        assert isinstance(stack, ProcessStack)
        yield stack


def refused(path: Path, folder: Path) -> str:
    """What is said of a stack that cannot come up; nothing of it is left."""
    made = Remembering()
    with pytest.raises(UsageError) as error, up(path, folder, made):
        pytest.fail("it came up")
    assert not [one for one in made.processes if one.alive]
    text = str(error.value)
    assert "\n" not in text
    return text


def get(stack: ProcessStack, name: str, path: str) -> Any:
    """Ask a process itself."""
    url = next(replica.url for replica in stack.replicas() if replica.name == name)
    return httpx.get(f"{url}{path}", timeout=2)


def healthy(stack: ProcessStack, name: str) -> bool:
    """Whether a process says so."""
    try:
        return bool(get(stack, name, "/health").status_code == 200)
    except httpx.HTTPError:
        return False
