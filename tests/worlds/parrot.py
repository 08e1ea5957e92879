"""A server that repeats the key it is sent, in every place where a server can say anything: ``python -m
tests.worlds.parrot PORT_FILE``.

It answers as one of OpenAI's routes does, now and then; every other answer is another way to say the key.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TEXT_MAX, SHOWN_MAX = 4096, 300


class Parrot(BaseHTTPRequestHandler):
    """Each answer is the next of `ways`."""

    protocol_version = "HTTP/1.1"
    turns = itertools.count()

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").partition(" ")[2] or "nobody"

    def send_response(self, code: int, message: str | None = None) -> None:
        super().send_response(code, message)
        for name in ("x-request-id", "x-served-by", "x-served-via", "x-other"):
            self.send_header(name, f"{name} {self.key}")

    def version_string(self) -> str:
        return f"parrot/{self.key}"

    # ---- what a scraper sees

    def do_GET(self) -> None:
        key = self.key
        if self.path == "/api/v2/alerts":
            alert = {"labels": {"alertname": f"alert {SEEN}", SEEN: SEEN}, "fingerprint": SEEN}
            self._say(200, [alert | {"status": {"state": "suppressed", "silencedBy": [f"{SEEN} " * 40]}}])
        elif self.path == "/metrics":
            self._text(200, METRICS.format(key=key.replace('"', '\\"')))
        elif self.path == "/strange/metrics":
            name = "".join(c if c.isalnum() else "_" for c in key)
            self._text(200, f'# HELP {name} {key}\n# TYPE {name} counter\n{name}{{a="{name}"}} 1\n{key}_total 1\n')
        elif self.path == "/version":
            self._say(200, {"version": key})
        elif self.path == "/v1/models":
            self._say(200, {"object": "list", "data": [{"id": key}, {"id": f"m-{key}" * 400}]})
        else:
            self._text(200, key)

    # ---- what a client sees

    def do_POST(self) -> None:
        global SEEN
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        SEEN = self.key
        if (asked.get("temperature") or 0) < 0:
            self._error(400, "no")
        elif next(self.turns) < WELL or not asked.get("stream"):
            self._well(asked)
        else:
            way = WAYS[next(self.turns) % len(WAYS)]
            way(self, asked)

    def _well(self, asked: dict[str, Any]) -> None:
        chat = self.path.endswith("chat/completions")
        if not asked.get("stream"):
            said = {"message": {"role": "assistant", "content": f"a {self.key} b"}} if chat else {"text": self.key}
            choice = {"index": 0, "finish_reason": "stop", **said}
            self._say(
                200, {"model": f"m {self.key}", "system_fingerprint": self.key, "choices": [choice], "usage": USAGE}
            )
            return
        self._events([*self._deltas(chat), self._chunk({}, finish_reason="stop"), "[DONE]"])

    def _deltas(self, chat: bool) -> list[dict[str, Any]]:
        """The key, split over two of them."""
        half, first = len(self.key) // 2, {"role": "assistant"} if chat else {}
        parts = [self.key[:half], self.key[half:]]
        return [self._chunk(first), *(self._chunk({"content": part}, chat=chat) for part in parts)]

    def _chunk(self, delta: dict[str, Any], *, chat: bool = True, **more: Any) -> dict[str, Any]:
        said = {"delta": delta} if chat else {"text": delta.get("content", "")}
        about = {"id": self.key, "model": f"m {self.key}", "system_fingerprint": f"fp {self.key}"}
        return about | {"choices": [{"index": 0, "finish_reason": None, **said, **more}], "usage": {self.key: 1}}

    # ---- one place each

    def _error(self, status: int, message: str, **more: Any) -> None:
        self._say(status, {"error": {"message": message, "type": self.key, "code": self.key, **more}})

    def _message(self, asked: dict[str, Any]) -> None:
        self._error(401, f"Incorrect API key provided: {self.key}.", request_id=self.key)

    def _cut_long(self, asked: dict[str, Any]) -> None:
        self._error(503, "x" * (TEXT_MAX - 10) + self.key)

    def _cut_short(self, asked: dict[str, Any]) -> None:
        self._text(502, "x" * (SHOWN_MAX - 10) + self.key)

    def _encoded(self, asked: dict[str, Any]) -> None:
        quoted = urllib.parse.quote(self.key, safe="")
        basic = base64.b64encode(f"user:{self.key}".encode()).decode()
        self._error(500, f"{quoted} {small(quoted)} Basic {basic} {json.dumps(self.key)} {self.key!r}")

    def _too_many(self, asked: dict[str, Any]) -> None:
        self.send_response(429)
        self.send_header("retry-after", self.key)
        self.send_header("content-length", "0")
        self.end_headers()

    def _elsewhere(self, asked: dict[str, Any]) -> None:
        self.send_response(302, self.key)
        self.send_header("location", f"http://127.0.0.1:9/?key={urllib.parse.quote(self.key)}")
        self.send_header("content-length", "0")
        self.end_headers()

    def _error_event(self, asked: dict[str, Any]) -> None:
        self._events([{"error": {"message": self.key, "type": self.key, "code": 500}}])

    def _no_json(self, asked: dict[str, Any]) -> None:
        self._events([f"{{{self.key}"])

    def _other_model(self, asked: dict[str, Any]) -> None:
        self._events([self._chunk({"content": "a"}) | {"model": f"{n} {self.key}"} for n in range(40)])

    def _reason(self, asked: dict[str, Any]) -> None:
        self._events([self._chunk({"content": "a"}), self._chunk({}, finish_reason=self.key), "[DONE]"])

    def _half(self, asked: dict[str, Any]) -> None:
        self._events(self._deltas(self.path.endswith("chat/completions"))[:2])

    # ---- how

    def _say(self, status: int, body: Any) -> None:
        self._text(status, json.dumps(body), kind="application/json")

    def _text(self, status: int, text: str, kind: str = "text/plain") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _events(self, events: list[Any]) -> None:
        said = [one if isinstance(one, str) else json.dumps(one) for one in events]
        self._text(200, "".join(f"data: {one}\n\n" for one in said), kind="text/event-stream")


SEEN = "nobody"
"""The key of whoever came in last: alerts are asked for without one."""
WELL = 30
USAGE = {"prompt_tokens": 1, "completion_tokens": 2}
WAYS = [
    Parrot._well, Parrot._message, Parrot._cut_long, Parrot._cut_short, Parrot._encoded, Parrot._too_many,
    Parrot._elsewhere, Parrot._error_event, Parrot._no_json, Parrot._other_model, Parrot._reason, Parrot._half,
]  # fmt: skip
METRICS = """\
# HELP vllm:num_requests_running {key}
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{model_name="{key}"}} 0
vllm:num_requests_waiting{{model_name="{key}"}} 0
vllm:kv_cache_usage_perc{{model_name="{key}"}} 0
vllm:request_success_total{{finished_reason="{key}",model_name="m"}} 1
"""


def small(quoted: str) -> str:
    """With the digits of its escapes in small letters, as some write them."""
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)


def main() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Parrot) as server:
        beside = Path(f"{sys.argv[1]}.part")
        beside.write_text(str(server.server_port))
        beside.replace(sys.argv[1])
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
