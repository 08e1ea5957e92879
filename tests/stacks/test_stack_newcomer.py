"""A service of which only its address is known: what it is made of, and one line where it cannot be drilled."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from servedrill.errors import StackError, UsageError
from servedrill.stacks.newcomer import look_at

MODELS = ("application/json", json.dumps({"data": [{"id": "m", "owned_by": "somebody"}]}))
Pages = dict[str, tuple[str, str]]


@contextlib.contextmanager
def serving(pages: Pages, *, status: int = 200, key: str = "") -> Iterator[str]:
    """A server of these pages: path -> content type and body."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            kind, body = pages.get(self.path, ("text/plain", "nothing here"))
            found = status if self.path in pages else 404
            if key and self.headers.get("authorization") != f"Bearer {key}":
                found, body = 401, f"no key, or the wrong one: {self.headers.get('authorization')}"
            self.send_response(found)
            if found == 302:
                self.send_header("location", body)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def owned(by: str) -> tuple[str, str]:
    return "application/json", json.dumps({"data": [{"id": "m", "owned_by": by}]})


@pytest.mark.parametrize(
    ("software", "role", "pages"),
    [
        ("vLLM", "engine", {"/v1/models": owned("vllm"), "/metrics": ("text/plain", "vllm:num_requests_running 0\n")}),
        ("vLLM", "engine", {"/v1/models": owned("vllm")}),
        ("SGLang", "engine", {"/v1/models": owned("sglang")}),
        ("llama.cpp", "engine", {"/v1/models": owned("llamacpp")}),
        (
            "Ollama",
            "engine",
            {"/v1/models": owned("library"), "/api/version": ("application/json", '{"version": "1"}')},
        ),
        (
            "LiteLLM",
            "gateway",
            {"/v1/models": owned("openai"), "/health/readiness": ("application/json", '{"litellm_version": "1.80"}')},
        ),
        (
            "LiteLLM",
            "gateway",
            {"/v1/models": owned("openai"), "/health/readiness": ("application/json", '{"db": "Not connected"}')},
        ),
        ("TGI", "engine", {"/v1/models": owned("x"), "/info": ("application/json", '{"router": "tgi"}')}),
        ("SGLang router", "gateway", {"/v1/models": MODELS, "/metrics": ("text/plain", "smg_worker_health 1\n")}),
        ("", "engine", {"/v1/models": MODELS}),
    ],
)
def test_it_is_known_by_what_it_says(software: str, role: str, pages: Pages) -> None:
    """Its metrics page first, which is what is read of it later."""
    with serving(pages) as url:
        found = look_at(f"{url}/v1/")
    assert (found.software, found.role, found.models) == (software, role, ["m"])
    assert found.url == url and bool(found.metrics) == ("/metrics" in pages)
    file = found.stack_file("m")
    assert file.external is not None and file.external.url == url
    assert [one.role for one in file.replica] == ([role] if found.metrics else [])
    assert file.promises is not None and "slots" in file.promises.assumed and file.promises.oracle == "frames"


def refused(pages: Pages, **more: Any) -> str:
    with serving(pages, **more) as url, pytest.raises(StackError) as caught:
        look_at(url)
    assert "\n" not in str(caught.value) and url in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_drilled_is_said_in_one_line_with_the_next_step() -> None:
    assert "is a web page" in refused({"/v1/models": ("text/html; charset=utf-8", "<html>Sign in</html>")})
    assert "leads to https://login" in refused({"/v1/models": ("text/plain", "https://login.test/in")}, status=302)
    assert "it asks for a key" in refused({"/v1/models": MODELS}, key="sk-9f8e7d6c5b4a3921")
    assert "is no list of models" in refused({"/v1/models": ("application/json", '{"data": 7}')})
    said = refused({"/v1/models": MODELS}, status=503)
    assert "answers 503" in said and "--api-key-env" in said
    with pytest.raises(StackError, match=r"is it up.*curl http://127.0.0.1:9/v1/models"):
        look_at("http://127.0.0.1:9")
    for wrong in ("localhost:8000", "ftp://x", "", "http://"):
        with pytest.raises(UsageError, match="expected http://host:port"):
            look_at(wrong)


def test_a_key_is_sent_and_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers repeat what they were given."""
    monkeypatch.setenv("ITS_KEY", "sk-9f8e7d6c5b4a3921")
    with serving({"/v1/models": MODELS}, key="sk-9f8e7d6c5b4a3921") as url:
        assert look_at(url, api_key_env="ITS_KEY").models == ["m"]
        monkeypatch.setenv("ITS_KEY", "sk-1111222233334444")
        with pytest.raises(StackError) as caught:
            look_at(url, api_key_env="ITS_KEY")
        assert "the key was refused" in str(caught.value) and "ITS_KEY" in str(caught.value)
        assert "1111222233334444" not in str(caught.value)
        monkeypatch.delenv("ITS_KEY")
        with pytest.raises(UsageError, match="ITS_KEY is not set"):
            look_at(url, api_key_env="ITS_KEY")


def test_the_model_is_the_only_one_or_the_one_that_is_named() -> None:
    two = ("application/json", json.dumps({"data": [{"id": "a"}, {"id": "b"}]}))
    with serving({"/v1/models": two}) as url:
        found = look_at(url)
    assert found.model("b") == "b"
    with pytest.raises(UsageError, match="2 models; expected one to ask for; hint: --model NAME: a, b"):
        found.model(None)
    with pytest.raises(UsageError, match="no model 'c'; expected one of a, b"):
        found.model("c")
