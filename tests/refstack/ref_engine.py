"""Processes of the embedded stack, started one by one: an engine, a gateway, and what they answer."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from servedrill.dialect.scrape import read_page
from servedrill.dialect.vendors import vendor_of
from servedrill.host.clock import wait_for
from servedrill.host.ports import free_ports
from servedrill.host.processes import ProcessId, children, identify
from servedrill.oracle.tokens import expected_tokens
from servedrill.refstack.config import Costs, Engine, EngineLimits, Gateway, GatewayLimits, ModelVersion, Stack

FAST = Costs(overhead_s=0.0005, prefill_s_per_token=0, decode_s_per_sequence=0, warmup_steps=1)
STEADY = Costs(overhead_s=0.02, prefill_s_per_token=0, decode_s_per_sequence=0, warmup_steps=1)


@dataclass
class Answer:
    """One answer, streamed or not, in the same words."""

    status: int
    headers: dict[str, str]
    texts: list[str] = field(default_factory=list)
    finishes: list[str | None] = field(default_factory=list)
    roles: int = 0
    done: int = 0
    fingerprints: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class Server:
    """One process of the stack, over HTTP."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process, self.url, self.log = process, url, log
        self.http = httpx.Client(base_url=url, timeout=20)

    def healthy(self) -> bool:
        try:
            return self.http.get("/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def ask(
        self, *, chat: bool = True, prompt: str = "hello", headers: dict[str, str] | None = None, **body: Any
    ) -> Answer:
        """One request and its whole answer."""
        path, whole = request_body(chat=chat, prompt=prompt, **body)
        with self.http.stream("POST", path, json=whole, headers=headers) as response:
            return read_answer(response, n=whole.get("n", 1))

    @contextlib.contextmanager
    def streaming(
        self, *, chat: bool = True, prompt: str = "hello", headers: dict[str, str] | None = None, **body: Any
    ) -> Iterator[httpx.Response]:
        """An answer that has begun: its first chunk has come, and the rest is the block's affair."""
        path, whole = request_body(chat=chat, prompt=prompt, stream=True, **body)
        with (
            httpx.Client(base_url=self.url, timeout=20) as http,
            http.stream("POST", path, json=whole, headers=headers) as response,
        ):
            yield response

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        response = self.http.post(path, json=body)
        return response.status_code, response.json() if response.content else None

    def metrics(self) -> dict[str, float]:
        text = self.http.get("/metrics").text
        vendor = vendor_of(text, "engine")
        assert vendor is not None
        return read_page(text, vendor).values

    @property
    def core(self) -> ProcessId:
        """The child that computes."""
        (child,) = children(self.process.pid)
        identity = identify(child)
        assert identity is not None
        return identity

    def wait_quiet(self) -> None:
        """Nothing runs, waits or holds a block."""
        wait_for(
            lambda: all(self.metrics()[word] == 0 for word in ("running", "waiting", "kv_usage")),
            what="nothing to be held",
            within_s=30,
        )

    def end(self) -> None:
        self.http.close()
        assert self.process.stdin is not None
        self.process.kill()
        self.process.stdin.close()  # the core's own end
        self.process.wait()


def request_body(*, chat: bool, prompt: str, **body: Any) -> tuple[str, dict[str, Any]]:
    model = {"model": "v1", **body}
    if chat:
        return "/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}], **model}
    return "/v1/completions", {"prompt": prompt, **model}


def read_answer(response: httpx.Response, *, n: int) -> Answer:
    answer = Answer(response.status_code, dict(response.headers))
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        response.read()
        page = response.json()
        answer.error = page.get("error")
        answer.usage = page.get("usage")
        for choice in page.get("choices", []):
            answer.texts.append(choice["message"]["content"] if "message" in choice else choice["text"])
            answer.finishes.append(choice["finish_reason"])
        if answer.status == 200:
            answer.fingerprints, answer.ids = {page["system_fingerprint"]}, {page["id"]}
        return answer
    answer.texts, answer.finishes = [""] * n, [None] * n
    for line in response.iter_lines():
        if not line.startswith("data: "):
            assert not line, line
            continue
        if line == "data: [DONE]":
            answer.done += 1
            continue
        event = json.loads(line[6:])
        if "error" in event:
            answer.error = event["error"]
            continue
        answer.fingerprints.add(event["system_fingerprint"])
        answer.ids.add(event["id"])
        answer.usage = event.get("usage") or answer.usage
        for choice in event["choices"]:
            delta = choice.get("delta", {})
            answer.roles += "role" in delta
            answer.texts[choice["index"]] += delta.get("content", "") or choice.get("text", "")
            if choice["finish_reason"]:
                assert answer.finishes[choice["index"]] is None
                answer.finishes[choice["index"]] = choice["finish_reason"]
    return answer


def oracle_text(*, chat: bool, prompt: str, version: str = "v1", **params: Any) -> tuple[str, str]:
    """What an answer has to be, and how it has to end, with a stop string where one is given."""
    stop = params.pop("stop", None)
    how = {"max_tokens": 16, "temperature": 1.0, "seed": 0, **params}
    words, finish = expected_tokens(version=version, prompt=prompt, chat=chat, **how)
    text = "".join(f" {word}" for word in words)
    at = text.find(stop) if stop else -1
    return (text[:at], "stop") if at >= 0 else (text, finish)


def stack_of(
    folder: Path,
    *,
    costs: Costs = FAST,
    gateway: dict[str, Any] | None = None,
    defects: list[str] | None = None,
    drain_grace_s: float = 3.0,
    **limits: Any,
) -> Stack:
    """One engine and one gateway before it."""
    small = {"block_bytes": 4096, "activation_bytes_per_token": 256, **limits}
    ports = free_ports(4)
    return Stack(
        engines=[Engine(name="engine-0", port=ports[0])],
        gateways=[Gateway(name="gateway-0", host="127.0.0.1", port=ports[1])],
        control_port=ports[2],
        alerts_port=ports[3],
        dns_port=0,
        models=[
            *(ModelVersion(version=v, load_s=0.05, weights_bytes=1 << 20) for v in ("v1", "v2")),
            ModelVersion(version="v-damaged", load_s=0.0, loads=False),
        ],
        costs=costs,
        engine_limits=EngineLimits(**small),
        gateway_limits=GatewayLimits(**(gateway or {})),
        drain_grace_s=drain_grace_s,
        defects=defects or [],
        log_dir=str(folder),
    )


@contextlib.contextmanager
def started(folder: Path, stack: Stack, role: str, name: str, port: int) -> Iterator[Server]:
    """One process; it is healthy inside the block and gone after it."""
    config, log = folder / "stack.json", folder / f"{name}.log"
    config.write_bytes(msgspec.json.encode(stack))
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "servedrill.refstack", "--config", str(config), role, name],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    server = Server(process, f"http://127.0.0.1:{port}", log)
    try:
        wait_for(lambda: server.healthy() or process.poll() is not None, what=f"{name} to be healthy", within_s=30)
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        server.end()


@contextlib.contextmanager
def engine(folder: Path, **how: Any) -> Iterator[Server]:
    """An engine of its own."""
    stack = stack_of(folder, **how)
    with started(folder, stack, "engine", "engine-0", stack.engines[0].port) as server:
        yield server


@contextlib.contextmanager
def gateway_and_engine(folder: Path, **how: Any) -> Iterator[tuple[Server, Server]]:
    """A gateway that sees its engine."""
    stack = stack_of(folder, **how)
    with (
        started(folder, stack, "engine", "engine-0", stack.engines[0].port) as behind,
        started(folder, stack, "gateway", "gateway-0", stack.gateways[0].port) as front,
    ):
        wait_for(
            lambda: front.http.get("/admin/upstreams").json()["engine-0"]["healthy"],
            what="the engine to be seen",
            within_s=30,
        )
        yield front, behind
