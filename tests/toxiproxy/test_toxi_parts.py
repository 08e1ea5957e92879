"""The parts that need no socket: framing, events, the log of exchanges, chance, addresses."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servedrill.toxiproxy import chance, events
from servedrill.toxiproxy.addresses import split_host_port
from servedrill.toxiproxy.evidence import Archive
from servedrill.toxiproxy.exchanges import Exchange, ExchangeLog
from servedrill.toxiproxy.http1 import Framer, Part, starts_request

HEAD = b"HTTP/1.1 200 OK\r\n"
RESPONSES = [
    HEAD + b"Content-Length: 5\r\n\r\nhello",
    HEAD + b"transfer-encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n1\r\n!\r\n0\r\ntrailer: 1\r\n\r\n",
    HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"content-length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"content-length: 2\r\n\r\nok",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n",
]
REQUESTS = [
    b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST /v1 HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc",
    b"PUT /v1 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
]


def summary(framer: Framer, parts: list[bytes]) -> list[tuple[Part, bytes]]:
    """What a framer makes of a stream, runs of body joined."""
    found: list[tuple[Part, bytes]] = []
    for part in parts:
        for piece in framer.feed(part):
            if found and piece.part in (Part.BODY, Part.BROKEN) and found[-1][0] is piece.part:
                found[-1] = (piece.part, found[-1][1] + piece.data)
            else:
                found.append((piece.part, piece.data))
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(RESPONSES), min_size=1, max_size=5), st.lists(st.integers(0, 10_000), max_size=30))
def test_responses_are_framed_the_same_however_they_are_cut(messages: list[bytes], places: list[int]) -> None:
    """TCP has no message boundaries."""
    data = b"".join(messages)
    found = summary(Framer(responses=True), cut(data, places))
    assert found == summary(Framer(responses=True), [data])
    assert sum(part is Part.END for part, _ in found) == len(messages)
    assert not any(part is Part.BROKEN for part, _ in found)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=5), st.lists(st.integers(0, 10_000), max_size=30))
def test_requests_are_framed_the_same_however_they_are_cut(messages: list[bytes], places: list[int]) -> None:
    """Pipelined or not, with blank lines between them as some clients send."""
    messages = [message if index == 0 else b"\r\n" + message for index, message in enumerate(messages)]
    data = b"".join(messages)
    found = summary(Framer(responses=False), cut(data, places))
    assert [data for part, data in found if part is Part.HEAD] == [
        message[: message.index(b"\r\n\r\n", 2) + 4] for message in messages
    ]
    assert found == summary(Framer(responses=False), [data])


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.lists(st.binary(max_size=40), max_size=10), st.sampled_from([b"", *RESPONSES, *REQUESTS]))
def test_no_bytes_make_a_framer_fail_or_forget_what_it_gave_up_on(
    responses: bool, parts: list[bytes], before: bytes
) -> None:
    """Garbage ends as BROKEN with every byte that was not framed."""
    framer = Framer(responses=responses)
    found = summary(framer, [before, *parts])
    if found and found[-1][0] is Part.BROKEN:
        assert b"".join([before, *parts]).endswith(found[-1][1])
        assert framer.is_broken


@pytest.mark.parametrize(
    "data", [b"hello", b"GET x\r\n", b"HTTP/1.1", b"\x16\x03\x01", b"GET / HTTP/2.0\r\n", b"get / HTTP/1.1\r\n"]
)
def test_a_request_framer_does_not_keep_what_is_no_request(data: bytes) -> None:
    """Another protocol must not wait for bytes that a framer hopes to complete."""
    assert [piece.part for piece in Framer(responses=False).feed(data)] == [Part.BROKEN]


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"content-length: x\r\n\r\n",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n-1\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 200_000,
        HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"0" * 20_000,
    ],
)
def test_broken_responses_are_given_up(data: bytes) -> None:
    """At once, with a bound on what is kept before."""
    assert Framer(responses=True).feed(data)[-1].part is Part.BROKEN


def test_a_copied_framer_goes_on_where_the_first_stood() -> None:
    """That is how a toxic joins a stream in the middle."""
    first = Framer(responses=True)
    first.feed(HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    assert first.at_boundary
    second = first.copy()
    rest = b"2\r\nde\r\n0\r\n\r\n"
    assert [piece.part for piece in second.feed(rest)] == [Part.BODY, Part.END]
    assert [piece.part for piece in first.feed(rest)] == [Part.BODY, Part.END]


def test_a_request_line_is_recognised() -> None:
    """Where reading along may begin."""
    assert starts_request(b"POST /v1/x HTTP/1.1\r\nhost")
    assert not starts_request(b"POST /v1/x")
    assert not starts_request(b'{"a": "GET / HTTP/1.1"}')


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([b"data: a", b": ping", b"event: x\ndata: b\r", b"data: [DONE]", b"id: 1"]), max_size=6),
    st.sampled_from([b"\n\n", b"\r\n\r\n"]),
    st.integers(0, 200),
)
def test_events_are_split_without_losing_a_byte(blocks: list[bytes], blank: bytes, at: int) -> None:
    """Whatever the line endings and wherever the buffer ends."""
    data = b"".join(block.rstrip(b"\r") + blank for block in blocks)
    first, rest = events.split(data[:at])
    second, left = events.split(rest + data[at:])
    assert b"".join(first + second) + left == data
    assert left == b""
    assert sum(map(events.is_done, first + second)) == blocks.count(b"data: [DONE]")


def exchange(seq: int) -> Exchange:
    return Exchange(seq, 1, "GET", "/", None, None, 0)


def test_the_log_gives_each_exchange_once_in_the_order_of_changes() -> None:
    """An exchange that changed twice since is listed once, where it changed last."""
    log = ExchangeLog()
    a, b = exchange(1), exchange(2)
    for changed in (a, b, a):
        log.changed(changed)
    page = log.since(0)
    assert ([e.seq for e in page.exchanges], page.next, page.more) == ([2, 1], 3, False)
    assert [e.seq for e in log.since(1).exchanges] == [2, 1]
    assert log.since(3).exchanges == []


def test_the_log_comes_in_pages() -> None:
    """A reader follows `next` until `more` is false, and misses nothing."""
    log = ExchangeLog()
    for seq in range(1, 26):
        log.changed(exchange(seq))
    seen: list[int] = []
    at, more = 0, True
    while more:
        page = log.since(at, page_max=10)
        at, more = page.next, page.more
        seen += [e.seq for e in page.exchanges]
    assert seen == list(range(1, 26))


def test_the_log_is_bounded_and_says_what_it_lost() -> None:
    """The oldest changes go; a reader that was too slow learns of it."""
    log = ExchangeLog(kept_max=10)
    for seq in range(1, 1001):
        log.changed(exchange(seq))
    page = log.since(0)
    assert 30 <= len(page.exchanges) <= 40
    assert page.exchanges[-1].seq == 1000
    assert page.lost == 1000 - len(page.exchanges)
    assert len(log._last_of) <= 40


def test_the_archive_keeps_the_latest() -> None:
    """By name, and no more than its bound."""
    archive = Archive(kept_max=2)
    for name, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        archive.keep("p", name, {"value": value})
    assert [archive.find("p", name) for name in "abc"] == [{"value": 3}, None, {"value": 4}]


def test_draws_depend_on_names_and_not_on_order() -> None:
    """One seed, one answer; and the answers are spread evenly."""
    assert chance.draw(1, "p", "t", 3) == chance.draw(1, "p", "t", 3)
    draws = [chance.draw(seed, "p", "t", number) for seed in range(10) for number in range(100)]
    assert all(0 <= value < 1 for value in draws)
    assert 450 <= sum(value < 0.5 for value in draws) <= 550
    assert chance.stream(1, "p").random() == chance.stream(1, "p").random() != chance.stream(2, "p").random()


@pytest.mark.parametrize(
    ("text", "expected"), [("a:1", ("a", 1)), (":80", ("", 80)), ("[::1]:5", ("::1", 5)), ("0.0.0.0:0", ("0.0.0.0", 0))]
)
def test_addresses_are_split(text: str, expected: tuple[str, int]) -> None:
    assert split_host_port(text) == expected
