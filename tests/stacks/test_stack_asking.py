"""How a stack talks is found out by asking, before anything is broken."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import msgspec
import pytest

from servedrill.control.direct import direct
from servedrill.errors import StackError
from servedrill.history.dialect import Dialect, Spoken
from servedrill.stacks.asking import ask_dialect
from servedrill.stacks.door import Door
from servedrill.stacks.first_look import require_answer
from tests.worlds.speakers import HEALTHY, Speaks, speaking


def at(url: str, http: httpx.Client, model: str = "m") -> Door:
    return Door(http=http, url=url, model=model, api_key_env=None, where="stack.toml")


def asked(url: str) -> Spoken:
    with httpx.Client(**direct()) as http:
        require_answer(at(url, http), hint=lambda: "")
        return ask_dialect(at(url, http))


@pytest.mark.parametrize(("how", "differs"), HEALTHY.values(), ids=HEALTHY)
def test_what_is_found_out(how: Speaks, differs: dict[str, Any]) -> None:
    """Each habit, and no other; where errors have their id is the same for all of these servers."""
    with speaking(how) as url:
        spoken = asked(url)
    wanted = msgspec.to_builtins(Dialect(error_id="header")) | differs
    assert msgspec.to_builtins(spoken.dialect) == wanted
    assert not spoken.pinned


def test_what_was_answered_instead_is_noted() -> None:
    """In the stack's own words."""
    with speaking(Speaks(refuses=("ignore_eos",), routes=("/v1/chat/completions",))) as url:
        notes = asked(url).notes
    assert notes["without ignore_eos"].startswith('400 {"error": {"message": "Unrecognized request argument')
    assert notes["routes completions"].startswith("404")


def test_another_model_is_no_dialect() -> None:
    """A name that nobody serves is a mistake in the stack file, whatever routes there are."""
    with speaking(Speaks(routes=())) as url, httpx.Client(**direct()) as http:
        with pytest.raises(StackError, match=r"no model 'llama'.*one of m"):
            require_answer(at(url, http, model="llama"), hint=lambda: "")


@contextlib.contextmanager
def busy(answers: list[int]) -> Iterator[str]:
    """A server that says these statuses, one a request, and then answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status = answers.pop(0) if answers else 200
            choice = {"index": 0, "finish_reason": "stop", "message": {"content": "x"}, "text": "x", "delta": {}}
            data = json.dumps({"model": "m", "choices": [choice] * int(body.get("n", 1))}).encode()
            if body.get("stream"):
                data = b"data: " + data + b"\n\ndata: [DONE]\n\n"
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_who_is_busy_is_asked_again() -> None:
    """A 429 or a 503 says nothing of how somebody talks."""
    with busy([503, 429, 429, 503]) as url:
        assert asked(url).dialect.routes == ["chat", "completions"]


def test_a_key_that_is_repeated_where_an_answer_is_cut_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaced first and cut then, or half of it would be left."""
    monkeypatch.setenv("LLM_KEY", key := "sk-" + "k" * 40)
    with httpx.Client() as http:
        door = Door(http=http, url="http://127.0.0.1:9", model="m", api_key_env="LLM_KEY", where="stack.toml")
        assert "sk-" not in door.shown(httpx.Response(401, text="x" * 280 + key))
