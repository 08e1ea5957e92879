"""Every way in which a request can fail, produced on real sockets, and the name that its record gives it."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from load_servers import (
    DONE,
    SSE_HEAD,
    AnsweringServer,
    ClosingServer,
    RefusingServer,
    ResettingServer,
    ScriptedServer,
    Server,
    StallingServer,
    TruncatingServer,
    ask,
    chunk,
    event,
    one_class,
    only,
    plain,
    plan_for,
    usage_event,
)

from servedrill.load.protocol import Connection

ERROR = {"error": {"message": "engine died", "type": "internal", "code": 500, "request_id": "req-9"}}
ERROR_EVENT = b"data: " + json.dumps(ERROR).encode() + b"\n\n"


def test_a_whole_stream_has_no_failure() -> None:
    """A stream with its finish_reason and one [DONE] is whole, and the record holds all of it."""
    with AnsweringServer(words=3) as server:
        record = ask(server, output_tokens=3)
    assert record.failure is None
    assert record.texts == [" w0 w1 w2"]
    assert record.finish_reasons == ["stop"]
    assert (record.preambles, record.done_frames, record.status, record.models) == (1, 1, 200, ["m"])
    assert record.t_int_ns <= record.t_send_ns <= record.t_first_ns <= record.t_last_ns <= record.t_end_ns  # type: ignore[operator]
    assert len(record.gaps_ns) == 2
    assert sum(record.gaps_ns) == record.t_last_ns - record.t_first_ns  # type: ignore[operator]
    (attempt,) = record.attempts
    assert (attempt.address, attempt.status, attempt.error) == (f"127.0.0.1:{server.port}", 200, None)
    assert attempt.request_id == "run-chat-000000"


def test_the_request_says_what_the_plan_says() -> None:
    """Model, prompt, sampling parameters and ids go over the wire as planned."""
    with AnsweringServer() as server:
        ask(
            server,
            output_tokens=7,
            n=1,
            params={"seed": 5, "stop": ["x"]},
            prompts=["say hi"],
            api_key="sk-drill",
            idempotency=True,
        )
    (request,) = server.requests
    assert request.first_line == "POST /v1/chat/completions HTTP/1.1"
    assert request.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "say hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 7,
        "temperature": 0,
        "seed": 5,
        "stop": ["x"],
    }
    assert request.headers["x-request-id"] == request.headers["idempotency-key"] == "run-chat-000000"
    assert request.headers["authorization"] == "Bearer sk-drill"


def test_headers_and_usage_are_kept() -> None:
    """Who served the request, under which id, and what it counted."""
    head = SSE_HEAD.replace(
        b"\r\n\r\n", b"\r\nX-Request-Id: srv-1\r\nX-Served-By: engine-2\r\nX-Served-Via: gw-1\r\n\r\n"
    )
    usage = usage_event(prompt=11, completion=1, cached=8)
    body = chunk(event("a", system_fingerprint="fp1")) + chunk(event(finish="length")) + chunk(usage) + chunk(DONE)
    with ScriptedServer(head, body, chunk(b"")) as server:
        record = ask(server)
    (attempt,) = record.attempts
    assert (attempt.request_id, attempt.served_by, attempt.via) == ("srv-1", "engine-2", "gw-1")
    assert (record.usage_prompt_tokens, record.completion_tokens, record.cached_tokens) == (11, 1, 8)
    assert record.fingerprints == ["fp1"]


@pytest.mark.parametrize(
    ("server", "failure"),
    [
        pytest.param(TruncatingServer(2), "cut", id="eof"),
        pytest.param(TruncatingServer(0), "cut", id="eof-before-content"),
        pytest.param(TruncatingServer(2, last_chunk=True), "cut", id="last-chunk"),
        pytest.param(ClosingServer(), "closed", id="closed"),
        pytest.param(ResettingServer(), "reset", id="reset-before-headers"),
        pytest.param(ResettingServer(words=2), "reset", id="reset-in-the-stream"),
        pytest.param(RefusingServer(503), "http_503", id="http"),
        pytest.param(
            ScriptedServer(SSE_HEAD, chunk(event("a")), chunk(DONE), chunk(b"")), "cut", id="no-finish-reason"
        ),
        pytest.param(ScriptedServer(SSE_HEAD, chunk(event(finish="stop")), chunk(b"")), "cut", id="no-done"),
        pytest.param(
            ScriptedServer(SSE_HEAD, chunk(event("a")), chunk(ERROR_EVENT), chunk(DONE), chunk(b"")), "error_event"
        ),
        pytest.param(ScriptedServer(SSE_HEAD, chunk(b"data: {nonsense\n\n")), "bad_frame", id="undecodable"),
        pytest.param(ScriptedServer(SSE_HEAD, chunk(event("a", index=1))), "bad_frame", id="choice-nobody-asked-for"),
        pytest.param(ScriptedServer(SSE_HEAD, chunk(event(finish="stop") + DONE + DONE)), "bad_frame", id="two-dones"),
        pytest.param(
            ScriptedServer(SSE_HEAD, chunk(event(finish="stop") + DONE + event("b"))), "bad_frame", id="after-done"
        ),
        pytest.param(ScriptedServer(b"SSH-2.0-OpenSSH_9.6\r\n"), "bad_frame", id="not-http"),
    ],
)
def test_failures_of_a_stream_by_name(server: Server, failure: str) -> None:
    """Each way of failing has its own name in the record and in its attempt."""
    with server:
        record = ask(server)
    assert record.failure == failure
    assert record.attempts[-1].error == failure


def test_a_cut_stream_keeps_what_came() -> None:
    """The texts and times of a cut stream are those of the tokens that arrived."""
    with TruncatingServer(2) as server:
        record = ask(server)
    assert (record.texts, record.finish_reasons, record.done_frames, len(record.gaps_ns)) == ([" w0 w1"], [None], 0, 1)


def test_who_is_gone_before_anybody_asked_is_a_reset() -> None:
    """A peer that resets at once has no name any more: that is this request's failure, and the worker lives."""

    class Nameless(asyncio.Transport):
        aborted = False

        def abort(self) -> None:
            self.aborted = True

    loop = asyncio.new_event_loop()
    connection, transport = Connection(loop), Nameless()
    connection.connection_made(transport)
    loop.close()
    assert (connection.closed, connection.loss, transport.aborted) == (True, "reset", True)


def test_nobody_listens() -> None:
    """A refused connection is named connect, and nothing counts as sent."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        record = only(plan_for(f"http://127.0.0.1:{port}", one_class()))
    assert (record.failure, record.t_send_ns, record.status) == ("connect", None, None)
    assert record.attempts[0].address == f"127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("server", "patience", "failure"),
    [
        pytest.param(StallingServer(), {"first_token_timeout_s": 0.1}, "first_token_timeout", id="no-answer"),
        pytest.param(StallingServer(0), {"first_token_timeout_s": 0.1}, "first_token_timeout", id="preamble-only"),
        pytest.param(
            StallingServer(2), {"idle_timeout_s": 1.2, "first_token_timeout_s": 1.0}, "idle_timeout", id="idle"
        ),
        pytest.param(StallingServer(2), {"deadline_s": 0.1}, "deadline", id="deadline"),
        pytest.param(StallingServer(), {"deadline_s": 0.1, "stream": 0.0}, "deadline", id="deadline-no-stream"),
    ],
)
def test_the_clients_patience(server: Server, patience: dict[str, float], failure: str) -> None:
    """Each timeout ends the request in its time, under its name, and closes the socket."""
    with server:
        record = ask(server, **patience)
        server.wait_closed()
    assert record.failure == failure
    assert 0.1 <= (record.t_end_ns - record.t_int_ns) / 1e9 < 30


def test_error_bodies_are_read() -> None:
    """Type, message and id of an error body are in the record, and whether it had OpenAI's form."""
    with RefusingServer(429, "Retry-After: 7") as server:
        record = ask(server)
    assert (record.error_status, record.error_type, record.error_message) == (429, "overloaded", "no")
    assert (record.error_request_id, record.error_schema_ok) == ("err-1", True)
    assert record.attempts[0].retry_after_s == 7


@pytest.mark.parametrize(
    "body",
    [
        b"Internal Server Error",
        b'{"error": "no"}',
        b'{"detail": "no"}',
        b'{"error": {"message": "no", "type": null, "code": 1}}',
        b'{"error": {"message": "no", "type": "x"}}',
        b'{"object": "error", "message": "no", "type": "x", "code": 1}',
    ],
)
def test_error_bodies_of_another_form_are_told(body: bytes) -> None:
    """Whatever is not OpenAI's error object is marked, and never breaks the client."""
    with RefusingServer(500, body=body) as server:
        record = ask(server)
    assert (record.failure, record.error_schema_ok) == ("http_500", False)


def test_an_error_event_counts_even_when_the_stream_ends_well() -> None:
    """Finish reason and [DONE] after an error event make no whole answer, and the error is in the record."""
    body = chunk(event("a")) + chunk(ERROR_EVENT) + chunk(event(finish="stop")) + chunk(DONE) + chunk(b"")
    with ScriptedServer(SSE_HEAD, body) as server:
        record = ask(server)
    assert (record.failure, record.done_frames) == ("error_event", 1)
    assert (record.error_status, record.error_type, record.error_request_id) == (500, "internal", "req-9")


def test_the_id_of_an_error_may_be_in_its_head() -> None:
    """As vLLM and its router have it: a user can name the request."""
    head = b"HTTP/1.1 503 No\r\nx-request-id: req-7\r\ncontent-length: 0\r\n\r\n"
    with ScriptedServer(head) as server:
        assert ask(server).error_request_id == "req-7"


def test_a_stream_that_lost_only_its_connection_is_whole() -> None:
    """Nothing that the user waits for comes after [DONE]: how the connection ends is the attempt's matter."""
    with ScriptedServer(SSE_HEAD, chunk(event("a", finish="stop")), chunk(DONE)) as server:
        record = ask(server)
    assert record.failure is None
    assert record.attempts[0].error == "eof"


COMPLETION = {
    "model": "m",
    "choices": [
        {"index": 1, "text": "two", "finish_reason": "length"},
        {"index": 0, "text": "one", "finish_reason": "stop"},
    ],
    "usage": {"prompt_tokens": 4, "completion_tokens": 2},
}
CHAT = {"model": "m", "choices": [{"message": {"role": "assistant", "content": "one"}, "finish_reason": "stop"}]}


def test_a_whole_completion_of_two_choices() -> None:
    """An answer that does not stream is put together by the index of its choices."""
    with ScriptedServer(plain(200, json.dumps(COMPLETION).encode()), keep=True) as server:
        record = ask(server, route="completions", stream=0.0, n=2)
    assert (record.failure, record.texts, record.finish_reasons) == (None, ["one", "two"], ["stop", "length"])
    assert record.t_first_ns == record.t_last_ns is not None
    assert server.requests[0].body["n"] == 2
    assert server.requests[0].first_line.startswith("POST /v1/completions ")


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (json.dumps(CHAT).encode(), None),
        (json.dumps(CHAT).replace('"stop"', "null").encode(), "cut"),
        (b"<html>", "bad_frame"),
        (json.dumps(ERROR).encode(), "error_event"),
    ],
)
def test_answers_that_do_not_stream(body: bytes, failure: str | None) -> None:
    """A body is judged as strictly as a stream."""
    with ScriptedServer(plain(200, body), keep=True) as server:
        assert ask(server, stream=0.0).failure == failure


def test_a_body_that_ends_early_is_cut() -> None:
    """Fewer bytes than Content-Length promised."""
    with ScriptedServer(plain(200, json.dumps(CHAT).encode())[:-5]) as server:
        assert ask(server, stream=0.0).failure == "cut"


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    """HTTP allows an answer to end with the connection."""
    with ScriptedServer(b"HTTP/1.1 200 OK\r\n\r\n", json.dumps(CHAT).encode()) as server:
        assert ask(server, stream=0.0).failure is None


def test_interim_responses_are_passed_over() -> None:
    """103 Early Hints is not the answer."""
    with ScriptedServer(
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", plain(200, json.dumps(CHAT).encode())
    ) as server:
        record = ask(server, stream=0.0)
    assert (record.failure, record.status) == (None, 200)
