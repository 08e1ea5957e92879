"""A gateway in front of an engine, both as processes: what it passes on, and whom it keeps waiting."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from ref_engine import STEADY, Server, gateway_and_engine, oracle_text, request_body, stack_of, started

from servedrill.dialect.scrape import read_page
from servedrill.dialect.vendors import vendor_of
from servedrill.host.clock import wait_for

ASK = {"model": "chat-model", "prompt": "hello", "max_tokens": 20, "temperature": 0, "ignore_eos": True}
SAID = oracle_text(chat=True, prompt="hello", max_tokens=20, temperature=0, ignore_eos=True)[0]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """A gateway and its engine."""
    with gateway_and_engine(tmp_path_factory.mktemp("pair"), costs=STEADY) as servers:
        yield servers


def gauges(front: Server) -> dict[str, float]:
    text = front.http.get("/metrics").text
    vendor = vendor_of(text, "gateway")
    assert vendor is not None
    return read_page(text, vendor).values


def quiet(front: Server, behind: Server) -> None:
    """Nobody is under way at either."""
    wait_for(
        lambda: gauges(front)["in_flight"] == 0 == gauges(front)["upstream_in_flight/engine-0"],
        what="the gateway to be quiet",
        within_s=30,
    )
    behind.wait_quiet()


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("chat", [True, False], ids=["chat", "completions"])
def test_an_alias_is_answered_by_its_version(pair: tuple[Server, Server], chat: bool, stream: bool) -> None:
    """The answer is the version's, word for word, with one preamble, one end, and the names of who served it."""
    front, behind = pair
    answer = front.ask(chat=chat, stream=stream, headers={"x-request-id": "mine"}, **ASK)
    assert answer.texts == [oracle_text(chat=chat, prompt="hello", max_tokens=20, temperature=0, ignore_eos=True)[0]]
    assert (answer.roles, answer.done) == ((int(chat), 1) if stream else (0, 0))
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-served-via"] == "gateway-0"
    assert answer.headers["x-served-by"] == f"engine-0/{behind.process.pid}"
    quiet(front, behind)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_refusal_is_passed_on_as_it_is(pair: tuple[Server, Server], stream: bool) -> None:
    """An engine's refusal keeps its status, message and code, gets this request's id, and is not retried."""
    front, _ = pair
    before = gauges(front)["retries"]
    answer = front.ask(stream=stream, headers={"x-request-id": "bad-1"}, **{**ASK, "temperature": 9.0})
    assert answer.status == 400
    assert answer.error is not None
    assert (answer.error["code"], answer.error["request_id"]) == ("invalid_temperature", "bad-1")
    unknown = front.ask(stream=stream, **{**ASK, "model": "gpt"})
    assert (unknown.status, unknown.error and unknown.error["code"]) == (404, "model_not_found")
    assert gauges(front)["retries"] == before
    assert gauges(front)["breaker/engine-0"] == 0


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_hang_up_reaches_the_engine(pair: tuple[Server, Server], stream: bool) -> None:
    """After a hang-up nothing is generated for the client and nothing held, at gateway or engine."""
    front, behind = pair
    path, body = request_body(chat=True, stream=stream, **{**ASK, "max_tokens": 1000})
    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.Client(base_url=front.url) as http,
        http.stream("POST", path, json=body, timeout=0.3) as response,
    ):
        for _ in response.iter_lines():
            raise httpx.ReadTimeout("enough")
    quiet(front, behind)


def test_a_repeated_key_runs_once(pair: tuple[Server, Server]) -> None:
    """Requests with one key, at once or later, cause one generation and get one answer."""
    front, behind = pair
    before = behind.metrics()["generated_tokens"]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: front.ask(headers={"idempotency-key": "k-1"}, **ASK), range(3)))
    answers.append(front.ask(headers={"idempotency-key": "k-1"}, **ASK))
    assert [answer.texts for answer in answers] == [[SAID]] * 4
    assert behind.metrics()["generated_tokens"] == before + 20


def test_a_key_whose_first_client_hung_up_can_be_used_again(pair: tuple[Server, Server]) -> None:
    """A client that lost its connection can send its key again and gets an answer."""
    front, behind = pair
    headers = {"idempotency-key": "k-2"}
    path, body = request_body(chat=True, stream=True, **ASK)
    with httpx.Client(base_url=front.url) as http, http.stream("POST", path, json=body, headers=headers) as response:
        next(response.iter_lines())
    quiet(front, behind)
    try:
        again = httpx.post(f"{front.url}{path}", json={**body, "stream": False}, headers=headers, timeout=4)
    except httpx.ReadTimeout:
        pytest.fail("nobody answered for 4 s")
    assert again.json()["choices"][0]["message"]["content"] == SAID


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"model": 3}', b'{"messages": []}', b"\xff"])
def test_bodies_that_are_no_request_never_reach_an_engine(pair: tuple[Server, Server], content: bytes) -> None:
    """A body that is no request gets a 400 from the gateway itself."""
    response = pair[0].http.post("/v1/chat/completions", content=content)
    assert response.status_code == 400
    assert set(response.json()["error"]) == {"message", "type", "code", "param", "request_id"}


def test_a_gateway_without_an_engine_says_so_quickly(tmp_path: Path) -> None:
    """It answers 502 or 503 with Retry-After until its checks have noticed, then 503 at once."""
    with gateway_and_engine(tmp_path) as (front, behind):
        behind.process.kill()
        behind.process.wait()
        first = front.ask(**ASK)
        assert first.status in (502, 503)
        assert int(first.headers["retry-after"]) >= 1
        wait_for(
            lambda: not front.http.get("/admin/upstreams").json()["engine-0"]["healthy"],
            what="the engine to be ejected",
            within_s=30,
        )
        later = front.ask(**ASK)
        assert (later.status, later.error and later.error["code"]) == (503, "no_engine")
        assert front.healthy()


def test_who_waits_in_vain_at_a_busy_engine_does_not_have_it_ejected(tmp_path: Path) -> None:
    """An engine whose tokens go to others is slow, not broken: the next request is answered (B6)."""
    impatient = {"first_token_timeout_s": 0.3, "max_tries": 1, "breaker_failures": 3}
    with gateway_and_engine(tmp_path, costs=STEADY, max_num_seqs=1, gateway=impatient) as (front, behind):
        with front.streaming(max_tokens=200, ignore_eos=True, model="chat-model", prompt="long"):
            with ThreadPoolExecutor(5) as pool:
                waited = [*pool.map(lambda _: front.ask(stream=True, **ASK), range(5))]
            assert {(answer.status, (answer.error or {})["code"]) for answer in waited} == {(503, "busy")}
        behind.wait_quiet()
        assert front.ask(stream=True, **ASK).texts == [SAID]


def test_an_engine_whose_queue_is_full_is_not_ejected(tmp_path: Path) -> None:
    """An engine that refused for a full queue answers the next request when it has room again (B6)."""
    at_once = {"max_tries": 1, "breaker_failures": 3, "breaker_open_s": 30.0}
    full = {"max_num_seqs": 1, "max_num_queued_reqs": 0}
    with gateway_and_engine(tmp_path, costs=STEADY, gateway=at_once, **full) as (front, behind):
        with front.streaming(max_tokens=200, ignore_eos=True, model="chat-model", prompt="long"):
            refused = [front.ask(**ASK) for _ in range(5)]
            assert {(answer.status, (answer.error or {})["code"]) for answer in refused} == {(503, "queue_full")}
        behind.wait_quiet()
        assert front.ask(**ASK).texts == [SAID]


class BreaksOnce(BaseHTTPRequestHandler):
    """An engine whose first stream brings its last word and its error in one piece."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self) -> None:
        self.answer(b"", {"x-served-models": "v1"})

    def do_POST(self) -> None:
        type(self).asked += 1
        self.rfile.read(int(self.headers["content-length"]))
        role, word = {"role": "assistant", "content": ""}, {"content": " one" if self.asked == 1 else " two"}
        end: list[Any] = (
            [{"error": {"message": "the core has died", "code": "engine_dead"}}]
            if self.asked == 1
            else [self.event({}, finish="length")]
        )
        events = [*(self.event(delta) for delta in (role, word)), *end]
        body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
        self.answer(body, {"content-type": "text/event-stream"})

    def event(self, delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {"id": f"answer-{self.asked}", "model": "v1", "system_fingerprint": "v1", "choices": [choice]}

    def answer(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def in_front_of(engine: type[BaseHTTPRequestHandler], folder: Path) -> Iterator[Server]:
    """A gateway that has seen this engine."""
    stack = stack_of(folder)
    with ThreadingHTTPServer(("127.0.0.1", stack.engines[0].port), engine) as behind:
        threading.Thread(target=behind.serve_forever, daemon=True).start()
        with started(folder, stack, "gateway", "gateway-0", stack.gateways[0].port) as front:
            wait_for(
                lambda: front.http.get("/admin/upstreams").json()["engine-0"]["healthy"],
                what="the engine to be seen",
                within_s=30,
            )
            yield front
        behind.shutdown()


def test_a_word_that_comes_together_with_the_error_is_not_lost(tmp_path: Path) -> None:
    """A token that arrives in one piece with an error event is written before the continuation (T8, in part)."""
    with in_front_of(BreaksOnce, tmp_path) as front:
        answer = front.ask(stream=True, **{**ASK, "max_tokens": 2})
    assert (answer.texts, answer.roles, answer.done) == ([" one two"], 1, 1)


class EndsBadly(BreaksOnce):
    """An engine that owes five bytes after ``[DONE]``: the connection just ends (killed), or stands still (frozen)."""

    frozen = False
    over = threading.Event()

    def do_POST(self) -> None:
        type(self).asked = 2  # every answer is whole
        super().do_POST()
        if self.frozen:
            self.over.wait(30)
        self.close_connection = True

    def send_header(self, keyword: str, value: str) -> None:
        owed = 5 if keyword == "content-length" and self.command == "POST" else 0
        super().send_header(keyword, str(int(value) + owed) if owed else value)


@pytest.mark.parametrize("frozen", [False, True], ids=["killed", "frozen"])
def test_an_answer_is_whole_however_its_connection_ends(tmp_path: Path, frozen: bool) -> None:
    """An engine killed between ``[DONE]`` and the end of its answer costs no error and no next request (T7, C13)."""
    EndsBadly.frozen = frozen
    EndsBadly.over.clear()
    with in_front_of(EndsBadly, tmp_path) as front:
        answers = [front.ask(stream=True, **{**ASK, "max_tokens": 1}) for _ in range(3)]
        wait_for(lambda: gauges(front)["in_flight"] == 0, what="slots to be given back", within_s=30)
        EndsBadly.over.set()
    assert [(answer.texts, answer.error, answer.done) for answer in answers] == [([" two"], None, 1)] * 3
