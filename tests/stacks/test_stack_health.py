"""Where a replica says how it is, and with which key it is asked, is said once, and everybody goes by it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from stack_world import Remembering

from servedrill.control.direct import direct
from servedrill.errors import StackError
from servedrill.stacks.lifecycle import stack_up
from servedrill.stacks.reading import read_stack_file
from tests.worlds.speakers import Speaks, speaking

PAGE = b"litellm_in_flight_requests 3\n"


@contextlib.contextmanager
def replica(*, key: str = "", leads_to: str = "/metrics/") -> Iterator[tuple[str, list[str]]]:
    """A server with its health at /healthy and metrics behind a redirect; its URL, and every path that was asked."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            if key and self.headers["authorization"] != f"Bearer {key}":
                self.say(401)
            elif self.path == "/metrics":
                self.say(307, location=leads_to)
            else:
                self.say(200 if self.path in ("/metrics/", "/healthy") else 404, PAGE)

        def say(self, status: int, body: bytes = b"", location: str = "") -> None:
            self.send_response(status)
            if location:
                self.send_header("location", location)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", paths
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def external(folder: Path, url: str, more: str) -> Iterator[Any]:
    path = folder / "stack.toml"
    path.write_text(
        f'kind = "external"\nname = "theirs"\n[external]\nurl = "{url}"\n[promises]\nmodel = "m"\noracle = "frames"\n'
        f'[dialect]\n[[replica]]\nname = "gateway-0"\nrole = "gateway"\n{more}\n'
    )
    with stack_up(
        read_stack_file(path), folder / "theirs", on_undo=Remembering(), defects=[], seed=1, limit_memory=False
    ) as stack:
        yield stack


def test_health_metrics_and_key_of_a_replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One place each: its health by its own path, its metrics where a redirect on the same host leads, with its key."""
    monkeypatch.setenv("METRICS_KEY", "k1")
    with speaking(Speaks()) as door, replica(key="k1") as (url, paths):
        more = f'url = "{url}"\nhealth = "/healthy"\napi_key_env = "METRICS_KEY"'
        with external(tmp_path, door, more) as stack, httpx.Client(**direct()) as http:
            [one] = stack.replicas()
            assert one.metrics_url == f"{url}/metrics/"
            assert http.get(one.health_url, headers=one.headers).status_code == 200
        assert paths == ["/metrics", "/metrics/", "/healthy"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"key": "k1"}, "gave 401.*asks for a key: api_key_env"),
        ({"leads_to": "http://127.0.0.2:1/metrics"}, "gave 307"),
    ],
    ids=["key", "another-host"],
)
def test_a_page_that_cannot_be_read_is_told_at_the_start(how: dict[str, str], said: str, tmp_path: Path) -> None:
    """With its URL and the status; nobody is led to another host."""
    with speaking(Speaks()) as door, replica(**how) as (url, _):
        with pytest.raises(StackError, match=f"no metrics of gateway-0: {url}/metrics.*{said}"):
            with external(tmp_path, door, f'url = "{url}"'):
                pass
