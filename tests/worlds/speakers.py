"""Small servers that talk as well-known services do, healthy or broken on purpose."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

TOKEN_S = 0.004


@dataclass(frozen=True, kw_only=True)
class Speaks:
    """How a server talks; the defaults are OpenAI's way. ``broken`` is so after ``after`` answers."""

    routes: tuple[str, ...] = ("/v1/chat/completions", "/v1/completions")
    name: str = "{asked}"
    names: tuple[str, ...] = ()
    """Names in turn, as of several upstreams behind one door."""
    first_model: str | None = None
    """The name in a first event without choices (Azure)."""
    role: Literal["once", "every", "never", "with usage"] = "once"
    done: bool = True
    refuses: tuple[str, ...] = ()
    bound: str = "max_tokens"
    n: Literal["all", "one", "ends of the first"] = "all"
    usage: bool = True
    invalid: int = 400
    error: Literal["openai", "plain"] = "openai"
    crlf: bool = False
    comments: bool = False
    reasoning: bool = False
    token_s: float = TOKEN_S
    after: int = 10**9
    broken: Literal[
        "", "no end", "two names", "role again", "half", "another name", "no [DONE]", "done twice", "in one piece"
    ] = ""


@dataclass
class Counted:
    """What a server has done."""

    answers: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> int:
        with self.lock:
            self.answers += 1
            return self.answers


@contextlib.contextmanager
def speaking(how: Speaks) -> Iterator[str]:
    """The server's base URL."""
    counted = Counted()
    handler = type("Handler", (_Handler,), {"how": how, "counted": counted})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    how: Speaks
    counted: Counted

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._say(200 if self.path == "/v1/models" else 404, {"object": "list", "data": [{"id": "m"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        how = self.how
        if self.path not in how.routes:
            self._refuse(404, f"no route {self.path}")
            return
        bounds = {"max_tokens", "max_completion_tokens"} - {how.bound}
        if refused := [name for name in asked if name in how.refuses or name in bounds]:
            self._refuse(400, f"Unrecognized request argument supplied: {refused[0]}")
            return
        if (asked.get("temperature") or 0) < 0 and how.invalid != 200:
            self._refuse(how.invalid, "temperature must not be negative")
            return
        number = self.counted.next()
        answer = _Answer(how, asked, chat=self.path.endswith("chat/completions"), number=number)
        if asked.get("stream"):
            self._stream(answer)
        else:
            time.sleep(self.how.token_s * answer.tokens)
            self._say(200, answer.whole())

    def _stream(self, answer: _Answer) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        end = "\r\n\r\n" if self.how.crlf else "\n\n"
        collected = b""
        with contextlib.suppress(ConnectionError):
            for event in answer.events():
                comment = ": keep-alive" + end if self.how.comments else ""
                data = (comment + "data: " + (event if isinstance(event, str) else json.dumps(event)) + end).encode()
                chunk = b"%x\r\n%s\r\n" % (len(data), data)
                if answer.broken == "in one piece":
                    collected += chunk
                else:
                    self.wfile.write(chunk)
                time.sleep(self.how.token_s)
            self.wfile.write(collected + b"0\r\n\r\n")

    def _refuse(self, status: int, why: str) -> None:
        openai = {"error": {"message": why, "type": "invalid_request_error", "param": None, "code": None}}
        self._say(status, openai if self.how.error == "openai" else {"detail": why})

    def _say(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.send_header("x-request-id", "made-up")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(data)


class _Answer:
    """One answer, whole or as events."""

    def __init__(self, how: Speaks, asked: dict[str, Any], *, chat: bool, number: int) -> None:
        self.how, self.chat = how, chat
        self.broken = how.broken if number > how.after else ""
        self.tokens = int(asked.get(how.bound) or 16)
        names = how.names or (how.name,)
        self.model = names[number % len(names)].replace("{asked}", asked["model"])
        if self.broken == "another name":
            self.model = "somebody-else"
        self.choices = int(asked.get("n") or 1) if how.n != "one" else 1
        self.usage = how.usage and (asked.get("stream_options") or {}).get("include_usage", not asked.get("stream"))

    def whole(self) -> dict[str, Any]:
        said = " word" * self.tokens
        choices = [
            {
                "index": index,
                "finish_reason": "length",
                **({"message": {"role": "assistant", "content": said}} if self.chat else {"text": said}),
            }
            for index in range(self.choices)
        ]
        return {"model": self.model, "object": "x", "choices": choices, **self._accounted()}

    def events(self) -> Iterator[dict[str, Any] | str]:
        how = self.how
        if how.first_model is not None:
            yield {"model": how.first_model, "choices": []}
        for index in range(self.choices if self.chat and how.role in ("once", "with usage") else 0):
            yield self._event(index, {"role": "assistant", "content": ""})
        for number in range(self.tokens):
            if self.broken == "half" and number == self.tokens // 2:
                return
            if self.broken == "role again" and self.chat and number == self.tokens // 2:
                yield self._event(0, {"role": "assistant", "content": ""})
            if self.broken == "two names" and number == self.tokens // 2:
                self.model = "somebody-else"
            for index in range(self.choices):
                role = {"role": "assistant"} if how.role == "every" else {}
                word = "reasoning_content" if how.reasoning and number < 2 else "content"
                yield self._event(index, {**role, word: " word"}, text=" word")
        for index in range(self.choices if how.n == "all" else 1):
            if self.broken != "no end":
                role = {"role": "assistant"} if how.role == "every" else {}
                yield self._event(index, {**role, "content": ""}, text="", finish="length")
        if self.usage:
            last = self._event(0, {"role": "assistant", "content": ""}) if how.role == "with usage" else {}
            yield {"model": self.model, "choices": [], **last, **self._accounted()}
        for _ in range({"no [DONE]": 0, "done twice": 2}.get(self.broken, int(how.done))):
            yield "[DONE]"

    def _event(self, index: int, delta: dict[str, Any], *, text: str = "", finish: str | None = None) -> dict[str, Any]:
        said: dict[str, Any] = {"delta": delta} if self.chat else {"text": text}
        return {"model": self.model, "choices": [{"index": index, "finish_reason": finish, **said}]}

    def _accounted(self) -> dict[str, Any]:
        if not self.usage:
            return {}
        return {"usage": {"prompt_tokens": 5, "completion_tokens": self.tokens * self.choices}}


HEALTHY: dict[str, tuple[Speaks, dict[str, Any]]] = {
    "OpenAI": (Speaks(), {}),
    "role in every delta (ollama/ollama#7626)": (Speaks(role="every"), {}),
    "no role at all": (Speaks(role="never"), {"role": "never"}),
    "role again beside the usage (OpenRouter)": (Speaks(role="with usage"), {"role": "often"}),
    "a dated name (OpenAI)": (Speaks(name="{asked}-2026-01-01"), {"names": ["m-2026-01-01"]}),
    "two upstreams' names (LiteLLM)": (
        Speaks(names=("azure/m-eu", "m-us", "{asked}")),
        {"names": ["azure/m-eu", "m-us"]},
    ),
    "a first event that names no model (microsoft/semantic-kernel#3650)": (Speaks(first_model=""), {}),
    "no [DONE]": (Speaks(done=False), {"done": False}),
    "chat alone": (Speaks(routes=("/v1/chat/completions",)), {"routes": ["chat"]}),
    "completions alone": (Speaks(routes=("/v1/completions",)), {"routes": ["completions"]}),
    "refuses what OpenAI does not know": (Speaks(refuses=("ignore_eos",)), {"without": ["ignore_eos"]}),
    "refuses temperature, seed and stream_options": (
        Speaks(refuses=("temperature", "seed", "stream_options", "ignore_eos")),
        {"without": ["ignore_eos", "seed", "stream_options", "temperature"], "usage": "whole"},
    ),
    "max_completion_tokens (OpenAI's reasoning models)": (
        Speaks(bound="max_completion_tokens", refuses=("temperature",)),
        {"max_tokens": "max_completion_tokens", "without": ["temperature"]},
    ),
    "knows no n": (Speaks(n="one"), {"n": "one"}),
    "loses the ends of all choices but the first": (Speaks(n="ends of the first"), {"n": "whole"}),
    "tells no usage": (Speaks(usage=False), {"usage": "none"}),
    "takes anything": (Speaks(invalid=200), {"invalid": 200, "error_id": "both"}),
    "422 and errors of its own (FastAPI)": (
        Speaks(invalid=422, error="plain"),
        {"invalid": 422, "error_object": False},
    ),
    "CR LF and comments": (Speaks(crlf=True, comments=True), {}),
    "thinks first": (Speaks(reasoning=True), {}),
}
"""Who talks so, and what asking finds out that is not as OpenAI has it."""
