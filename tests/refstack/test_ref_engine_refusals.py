"""What an engine refuses, with which status and in which words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ref_engine import STEADY, Server, engine, oracle_text

from servedrill.host.clock import wait_for

LONG = "word " * 3000
BAD: dict[str, tuple[int, str, dict[str, Any]]] = {
    "n of none": (400, "invalid_n", {"n": 0}),
    "too many choices": (400, "invalid_n", {"n": 9}),
    "too hot": (400, "invalid_temperature", {"temperature": 9.0}),
    "colder than cold": (400, "invalid_temperature", {"temperature": -0.1}),
    "no top_p": (400, "invalid_top_p", {"top_p": 0}),
    "too much top_p": (400, "invalid_top_p", {"top_p": 1.1}),
    "no tokens": (400, "invalid_max_tokens", {"max_tokens": 0}),
    "fewer than no tokens": (400, "invalid_max_tokens", {"max_tokens": -5}),
    "too many tokens": (400, "invalid_max_tokens", {"max_tokens": 1025}),
    "more than the room": (400, "context_length_exceeded", {"prompt": "word " * 1500, "max_tokens": 1000}),
    "too long a prompt": (400, "context_length_exceeded", {"prompt": LONG}),
    "another model": (404, "model_not_found", {"model": "gpt"}),
    "no model": (400, "invalid_body", {"model": None}),
    "a word for a number": (400, "invalid_body", {"max_tokens": "many"}),
    "stop of the wrong kind": (400, "invalid_body", {"stop": 3}),
    "half a token": (400, "invalid_body", {"max_tokens": 1.5}),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("chat", [True, False], ids=["chat", "completions"])
def test_bad_requests_are_refused_in_one_schema(quick: Server, chat: bool, stream: bool) -> None:
    """A bad request gets a status before any token, in both stream modes, with message, code and request id."""
    for what, (status, code, body) in BAD.items():
        answer = quick.ask(chat=chat, stream=stream, headers={"x-request-id": "bad-1"}, **body)
        assert answer.status == status, what
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.error is not None
        assert set(answer.error) == {"message", "type", "code", "param", "request_id"}
        assert (answer.error["code"], answer.error["request_id"], answer.headers["x-request-id"]) == (
            code,
            "bad-1",
            "bad-1",
        ), what
        assert answer.error["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
        assert answer.error["message"]
    assert quick.ask(max_tokens=2).status == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"model": "v1"}',
        b'{"model": "v1", "messages": 3, "prompt": 3}',
        b"\xff\xfe",
        b'{"model": "v1", "prompt": "", "messages": [{}]}',
    ],
)
def test_bodies_that_are_no_request(quick: Server, content: bytes) -> None:
    """A body that is no request gets a 400 in OpenAI's schema."""
    for path in ("/v1/chat/completions", "/v1/completions"):
        response = quick.http.post(path, content=content)
        assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


EDGES = [
    b'{"model": "v1", "prompt": "a \\ud800 b", "max_tokens": 2}',
    b'{"model": "v1", "prompt": "a", "max_tokens": 99999999999999999999999}',
    b'{"model": "v1", "prompt": "a", "max_tokens": 2, "temperature": 1e999}',
    b'{"model": "v1", "prompt": "a", "max_tokens": 2, "n": 1e2}',
    b'{"model": "v1", "prompt": "a", "max_tokens": 2, "seed": -9223372036854775808}',
    b'{"model": "v1", "prompt": "a", "max_tokens": 2, "seed": 36893488147419103232}',
]


def test_numbers_and_texts_at_the_edge_leave_nothing_open(tmp_path: Path) -> None:
    """Edge cases are served or refused, never an error of the engine's own, and nothing stays open."""
    with engine(tmp_path) as server:
        answers = [server.http.post("/v1/completions", content=body) for body in EDGES]
        assert server.http.get("/load").json() == {"server_load": 0}
        assert {answer.status_code for answer in answers} <= {200, 400}


def test_a_full_queue_refuses_with_503_and_says_when_to_come_again(tmp_path: Path) -> None:
    """A full queue refuses in both stream modes; what was admitted is served, and then there is room again."""
    with engine(tmp_path, costs=STEADY, max_num_seqs=1, max_num_queued_reqs=1) as server, ThreadPoolExecutor(2) as pool:
        admitted = [
            pool.submit(server.ask, prompt=f"p{i}", stream=True, max_tokens=30, temperature=0, ignore_eos=True)
            for i in range(2)
        ]
        wait_for(lambda: server.http.get("/load").json()["server_load"] == 2, what="two requests", within_s=30)
        for stream in (True, False):
            answer = server.ask(stream=stream, max_tokens=2)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.error is not None
            assert (answer.error["code"], answer.error["type"]) == ("queue_full", "overloaded_error")
        for number, future in enumerate(admitted):
            wanted = oracle_text(chat=True, prompt=f"p{number}", max_tokens=30, temperature=0, ignore_eos=True)
            assert (future.result().texts[0], future.result().finishes[0]) == wanted
        assert server.ask(max_tokens=2).status == 200
        assert server.metrics()["rejections"] == 2
        page = server.http.get("/metrics").text
        assert 'vllm:admission_rejections_total{model_name="chat-model",reason="max_num_queued_reqs"} 2.0' in page
