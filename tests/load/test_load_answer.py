"""Reading answers: the same bytes mean the same, wherever the network cuts them."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from load_servers import DONE, event, usage_event

from servedrill.dialect.openai import retry_after_s
from servedrill.dialect.sse import EventSplitter
from servedrill.load.answer import Answer, AnswerTooLongError

NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
LINES = st.sampled_from(
    [
        "data: x",
        "data:y",
        "data: {}",
        "data:",
        "data",
        ": comment",
        "event: error",
        "id: 1",
        "retry: 5",
        "",
        "",
        "datax: 1",
    ]
)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data in pieces, some perhaps empty."""
    places = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def reference(text: str) -> list[bytes]:
    """The data of the events in a text, straight from the definition, a line at a time."""
    events: list[bytes] = []
    lines: list[str] = []
    *whole, _ = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for line in whole:
        if line:
            lines.append(line)
            continue
        values = [
            value.removeprefix(" ") for name, _, value in (entry.partition(":") for entry in lines) if name == "data"
        ]
        if values:
            events.append("\n".join(values).encode())
        lines = []
    return events


@given(
    lines=st.lists(st.tuples(LINES, NEWLINES), max_size=30),
    bom=st.booleans(),
    cuts=st.lists(st.integers(0, 10_000), max_size=40),
)
@example(lines=[("data: x", "\r\n"), ("", "\r\n"), ("data:y", "\r"), ("", "\n")], bom=False, cuts=list(range(40)))
def test_events_do_not_depend_on_the_borders(lines: list[tuple[str, str]], bom: bool, cuts: list[int]) -> None:
    """Any split, any line ends, comments and unknown fields: the events are those of the definition."""
    text = ("\ufeff" if bom else "") + "".join(line + end for line, end in lines)
    splitter = EventSplitter()
    seen = [data for piece in split(text.encode(), cuts) for data in splitter.feed(piece)]
    assert seen == reference(text)


def facts(answer: Answer) -> tuple[object, ...]:
    """Everything that a record takes from an answer."""
    answered = answer.finish("complete", 1)
    names = [name for name in Answer.__slots__ if not name.startswith("_")]
    return (answered, answer.texts, *(getattr(answer, name) for name in names))


EVENTS = st.lists(
    st.one_of(
        st.builds(
            lambda text, index: event(text, index=index), st.sampled_from(["a", "é", "\n", ""]), st.sampled_from([0, 1])
        ),
        st.sampled_from(
            [
                event("", role="assistant"),
                event(finish="stop"),
                event(finish="length", index=1),
                event("x", index=2),
                event("f", system_fingerprint="fp"),
                usage_event(prompt=3, completion=2, cached=1),
                b'data: {"error": {"message": "m", "type": "t", "code": 500}}\n\n',
                b"data: broken\n\n",
                b": ping\n\n",
                DONE,
                DONE.replace(b"\n", b"\r\n"),
                b'data: {"choices":\ndata: []}\n\n',
            ]
        ),
    ),
    max_size=15,
)


@given(events=EVENTS, cuts=st.lists(st.integers(0, 10_000), max_size=30))
def test_a_record_does_not_depend_on_the_borders(events: list[bytes], cuts: list[int]) -> None:
    """Cut anywhere, a stream leaves the same texts, counts and failure."""
    body = b"".join(events)
    whole, pieces = Answer(stream=True, n=2), Answer(stream=True, n=2)
    whole.status = pieces.status = 200
    whole.feed(body, 5)
    for piece in split(body, cuts):
        pieces.feed(piece, 5)
    assert facts(pieces) == facts(whole)


def read(*events: bytes, n: int = 1) -> Answer:
    """An answer whose events came 10 ns apart."""
    answer = Answer(stream=True, n=n)
    answer.status = 200
    with contextlib.suppress(AnswerTooLongError):
        for number, data in enumerate(events):
            answer.feed(data, 100 + 10 * number)
    return answer


def test_only_content_counts_as_a_token() -> None:
    """Role-only, empty, usage and comment chunks have no instant; reasoning and tool deltas have one."""
    tool = b'data: {"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}\n\n'
    reasoning = b'data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}\n\n'
    answer = read(
        event("", role="assistant"), b": ping\n\n", reasoning, event("a"), usage_event(prompt=1, completion=1), tool
    )
    assert answer.stamps_ns == [120, 130, 150]
    assert (answer.texts, answer.preambles) == (["a"], 1)


def test_models_and_fingerprints_in_order_of_appearance() -> None:
    """A stream that changes hands shows it."""
    answer = read(event("a", system_fingerprint="f1"), event("b", model="m2"), event("c", system_fingerprint="f1"))
    assert (answer.models, answer.fingerprints) == (["m", "m2"], ["f1"])


@pytest.mark.parametrize(
    ("events", "ending", "failure"),
    [
        ([event("a", finish="stop"), DONE], "complete", None),
        ([event("a", finish="stop"), DONE], "reset", None),
        ([event("a", finish="stop")], "complete", "cut"),
        ([event("a", finish="stop"), DONE[:-1]], "eof", "cut"),
        ([event("a"), DONE], "eof", "cut"),
        ([event("a")], "reset", "reset"),
        ([event("a")], "deadline", "deadline"),
        ([event("a")], "bad_http", "bad_frame"),
        ([event("a", finish="stop"), DONE, b": bye\n\n"], "complete", None),
        ([event("a", finish="stop"), DONE, event("b")], "complete", "bad_frame"),
        ([b"data: {}\n\n", b'data: {"error": "x"}\n\n', b"data: ?\n\n"], "eof", "error_event"),
        ([b"data: ?\n\n", b'data: {"error": "x"}\n\n'], "eof", "bad_frame"),
        ([b'data: {"object": "error", "message": "x"}\n\n'], "eof", "error_event"),
        ([b'data: {"choices": [{"index": -1, "delta": {"content": "a"}}]}\n\n'], "eof", "bad_frame"),
        ([b'data: {"choices": [{"delta": {"content": 5}}]}\n\n'], "eof", "bad_frame"),
        ([b"data: \xff\xfe\n\n"], "eof", "bad_frame"),
        ([b"data: " + b"x" * (5 << 20)], "eof", "bad_frame"),
    ],
)
def test_what_an_ending_amounts_to(events: list[bytes], ending: str, failure: str | None) -> None:
    """Whole is whole however the connection ends; otherwise the first thing that went wrong names the failure."""
    assert read(*events).finish(ending, 1) == failure  # type: ignore[arg-type]


def test_every_choice_has_to_finish() -> None:
    """One choice without its finish_reason makes the stream cut."""
    assert read(event("a", finish="stop"), event("b", index=1), DONE, n=2).finish("complete", 1) == "cut"


def test_completions_stream_their_text() -> None:
    """The older route's chunks are read as well."""
    chunks = [
        {"choices": [{"index": 0, "text": " a"}]},
        {"choices": [{"index": 0, "text": " b", "finish_reason": "stop"}]},
    ]
    answer = read(*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), DONE)
    assert (answer.finish("complete", 1), answer.texts) == (None, [" a b"])


def test_a_role_beside_words_begins_nothing_again() -> None:
    """Ollama names it in every delta (ollama/ollama#7626), with an end too. Alone, it begins a second answer."""
    often = [event("a", role="assistant"), event("b", role="assistant"), event("", role="assistant", finish="stop")]
    assert read(*often, DONE).preambles == 1
    assert read(event("", role="assistant"), event("a"), event("", role="assistant"), event("b")).preambles == 2


def test_a_name_that_is_empty_names_nobody() -> None:
    """Azure's first event has none (microsoft/semantic-kernel#3650)."""
    assert read(b'data: {"model": "", "choices": []}\n\n', event("a"), event("b")).models == ["m"]


@pytest.mark.parametrize(("done", "failure"), [(True, "cut"), (False, None)])
def test_an_end_without_a_terminal_frame(*, done: bool, failure: str | None) -> None:
    """It is whole where the stack sends none, and there alone."""
    answer = Answer(stream=True, n=1, done=done)
    answer.status = 200
    answer.feed(event("a", finish="stop"), 100)
    assert answer.finish("complete", 200) == failure
    half = Answer(stream=True, n=1, done=done)
    half.status = 200
    half.feed(event("a"), 100)
    assert half.finish("complete", 200) == "cut"


DEEP = b"[" * 10_000
HOSTILE = {
    "an error too deep": b'{"error":' + DEEP,
    "tool calls too deep": b'{"choices":[{"delta":{"tool_calls":' + DEEP,
    "a field that nobody reads": b'{"x":' + DEEP,
    "objects too deep": b'{"a":' * 10_000,
    "a choice of its own": b'{"choices":[{"index":9,"delta":{"content":"a"}}]}',
    "a choice beyond all": b'{"choices":[{"index":99999999999999999999,"delta":{"content":"a"}}]}',
    "half a character": b'{"model":"\xff"}',
    "half a pair": b'{"model":"\\ud800"}',
    "too large a number": b'{"usage":{"prompt_tokens":1e999}}',
    "no JSON": b"\x00\x01",
    "null": b"null",
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [200, 503])
def test_whatever_a_stack_says_is_its_requests_failure(what: str, stream: bool, status: int) -> None:
    """Nothing that stands in an answer ends the client: the try is over, and has failed."""
    answer = Answer(stream=stream, n=1)
    answer.status = status
    body = b"data: " + HOSTILE[what] + b"\n\n" if stream and status == 200 else HOSTILE[what]
    answer.feed(body, 1)
    assert answer.finish("complete", 2) in ("bad_frame", "error_event", "cut", "http_503")


@pytest.mark.parametrize(
    "given", ["nan", "inf", "-inf", "1e400", "Mon, 01 Jan 0000 00:00:00 GMT", "a" * 9000, "", "\xff"]
)
def test_a_retry_after_that_makes_no_sense_is_none(given: str) -> None:
    """Neither of its forms, or long ago."""
    assert retry_after_s(given.encode("latin-1")) in (None, 0.0)
