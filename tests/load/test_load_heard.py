"""What a stack says is written down without the key that it was sent, and not at any length."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from servedrill.history.events import Attempt
from servedrill.load.answer import Answer
from servedrill.load.arrivals import Constant
from servedrill.load.plan import RequestClass
from servedrill.load.record import header, request_record
from servedrill.load.schedule import PlannedRequest
from servedrill.secrecy.known import KNOWN, NAME_MAX, TEXT_MAX

KEY = "sk-very-secret-0123456789"


def record(status: int, *bodies: Any, stream: bool, header_says: str = "") -> str:
    """The line in the history."""
    answer = Answer(stream=stream, n=1)
    answer.status = status
    KNOWN.learn(None, "", "ab", KEY, f"{KEY}-longer")
    for body in bodies:
        text = json.dumps(body).encode()
        answer.feed(b"data: " + text + b"\n\n" if stream and status == 200 else text, 1)
    failure = answer.finish("complete", 2)
    told = header(header_says.encode("latin-1"))
    tries = [
        Attempt(t_send_ns=1, t_end_ns=2, address="a:1", status=status, request_id=told or "", served_by=told, via=told)
    ]
    planned = PlannedRequest(
        offset_s=0.0, cls="chat", index=0, id="chat-1", prompt="a", prompt_tokens=1, max_tokens=4, n=1, stream=stream,
        params={},
    )  # fmt: skip
    cls = RequestClass(name="chat", model="m", arrivals=Constant(rate=1.0))
    made = request_record(
        planned, cls, answer, tries, t_int_ns=0, t_send_ns=0, t_end_ns=2, failure=failure, cancel=None,
        cancelled_ns=None,
    )  # fmt: skip
    return msgspec.json.encode(made).decode()


def error(**what: Any) -> dict[str, Any]:
    return {"error": {"message": "no", "type": "t", "code": None, **what}}


CHUNK: dict[str, Any] = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
REPEATS: dict[str, tuple[int, list[Any], bool]] = {
    "a message": (401, [error(message=f"Incorrect API key provided: {KEY}.")], True),
    "a long message, the key across its end": (401, [error(message="x" * (TEXT_MAX - 10) + KEY)], True),
    "a type": (401, [error(type=KEY)], False),
    "an id": (401, [error(request_id=KEY)], False),
    "an error that is a text": (401, [{"error": KEY}], False),
    "an error event": (200, [error(message=KEY)], True),
    "a model": (200, [CHUNK | {"model": f"m-{KEY}"}], True),
    "a fingerprint": (200, [CHUNK | {"system_fingerprint": KEY}], True),
    "content": (200, [{"choices": [{"index": 0, "delta": {"content": KEY}}]}], True),
    "content in two pieces": (
        200, [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in (KEY[:9], KEY[9:])], True
    ),
    "a reason to finish": (200, [{"choices": [{"index": 0, "delta": {}, "finish_reason": KEY}]}], True),
    "a whole answer": (200, [{"model": KEY, "choices": [{"message": {"content": KEY}, "finish_reason": KEY}]}], False),
}  # fmt: skip


@pytest.mark.parametrize("where", REPEATS)
def test_a_key_that_the_stack_repeats_is_not_written_down(where: str) -> None:
    """Wherever it stands, whole or not."""
    status, bodies, stream = REPEATS[where]
    line = record(status, *bodies, stream=stream, header_says=f"id {KEY} and {KEY}-longer")
    assert "secret" not in line
    assert "•••" in line


def test_names_and_messages_have_a_length() -> None:
    """A megabyte of a name is a fault of the stack, and no reason for a history that nobody can open."""
    line = record(200, CHUNK | {"model": "m" * 1_000_000}, stream=True, header_says="h" * 100_000)
    assert len(line) < 10 * NAME_MAX
    assert "(1000000 characters)" in line
    assert len(record(503, error(message="m" * 1_000_000), stream=False)) < 2 * TEXT_MAX


def test_content_is_judged_whole() -> None:
    """Tokens are compared one by one, so none is left out."""
    line = record(200, {"choices": [{"index": 0, "delta": {"content": "w" * 50_000}}]}, stream=True)
    assert "w" * 50_000 in line
