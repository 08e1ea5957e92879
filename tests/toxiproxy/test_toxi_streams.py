"""What toxics that know HTTP do to responses and event streams, for every framing a server may use."""

from __future__ import annotations

import json
from typing import Any

import pytest
from toxi_peers import Stopwatch, get, post
from toxi_server import Proxy, Server
from toxi_upstreams import EVENTS, STREAM, answering_at_the_end, echoing, sending, texts, upstream

from servedrill.host.clock import wait_for

FRAMINGS = ["/chunked", "/ragged", "/fixed", "/close"]
LATE_S = 5.0
"""The machine may stand still for a moment."""


@pytest.fixture(params=FRAMINGS)
def framing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_plain_answer_passes_every_stream_toxic_unchanged(
    proxy: Proxy, stream_toxic: tuple[str, dict[str, Any]]
) -> None:
    """JSON answers, HEAD answers and uploads on one keep-alive connection are none of their business."""
    proxy.add(*stream_toxic)
    with proxy.http() as client:
        for _ in range(2):
            assert client.fetch(get("/json")).body == b"{}"
            assert client.fetch(get("/json", method="HEAD")).headers["content-length"] == "2"
            assert client.fetch(get("/chunked", method="HEAD")).headers["transfer-encoding"] == "chunked"
            assert client.fetch(post("/json", b"x" * 100_000)).body == b"{}"


def test_what_is_not_http_passes_every_toxic_untouched(
    server: Server, stream_toxic: tuple[str, dict[str, Any]]
) -> None:
    """Echoed text, a server that speaks first, a half-close: byte for byte."""
    for name, talk, sent, expected in (
        ("text", echoing, b"hello", b"hello"),
        ("inline", echoing, b"GET key\r\n", b"GET key\r\n"),
        ("binary", echoing, bytes(range(256)), bytes(range(256))),
        ("greeting", sending(b"220 ready\r\n"), b"", b"220 ready\r\n"),
        ("half-close", answering_at_the_end, b"x" * 100, b"got 100"),
    ):
        with upstream(talk) as address:
            proxy = server.proxy(name, address)
            proxy.add(*stream_toxic)
            with proxy.connect() as peer:
                peer.send(sent)
                if name == "half-close":
                    peer.half_close()
                assert peer.receive(len(expected)) == expected, name


def test_delay_headers_holds_the_head(proxy: Proxy, framing: str) -> None:
    """The stream behind it is complete and in order."""
    name = proxy.add("delay_headers", {"delay": 80})
    answer = proxy.fetch(framing)
    assert 0.079 <= answer.t_head_s <= 0.08 + LATE_S
    assert (answer.ending, answer.body) == ("complete", STREAM)
    assert proxy.evidence(name)["heads_delayed"] == 1


def test_delay_first_token_holds_the_first_event_but_not_the_head(proxy: Proxy) -> None:
    """A timeout on headers does not see it, one on the first token does."""
    name = proxy.add("delay_first_token", {"delay": 1000})
    answer = proxy.fetch("/chunked")
    assert answer.t_head_s < 0.9
    assert 0.999 <= answer.t_parts_s[0] <= 1.0 + LATE_S
    assert answer.body == STREAM
    assert proxy.evidence(name)["events_delayed"] == 1


def test_stall_stream_holds_what_comes_after_some_events(proxy: Proxy, framing: str) -> None:
    """Two events at once, the rest after the stall."""
    name = proxy.add("stall_stream", {"after_events": 2, "duration": 1000})
    watch = Stopwatch()
    answer = proxy.fetch(framing)
    assert answer.body == STREAM
    assert watch.s >= 0.999
    if framing == "/chunked":
        assert answer.t_parts_s[1] < 0.9
        assert answer.t_parts_s[2] >= 0.999
    assert proxy.evidence(name)["streams_stalled"] == 1


def test_stall_stream_for_ever_ends_with_the_toxic(proxy: Proxy) -> None:
    """Nothing is lost: what was held comes when the toxic is removed."""
    name = proxy.add("stall_stream", {"after_events": 1})
    with proxy.http() as client:
        client.peer.send(get("/chunked"))
        wait_for(lambda: proxy.evidence(name)["events_delayed"] == 5, what="events held", within_s=30)
        proxy.change(name, attributes={"after_events": 2})
        proxy.remove(name)
        assert client.read().body == STREAM
        assert client.fetch(get("/json")).body == b"{}"


@pytest.mark.parametrize(("reset", "ending"), [(False, "fin"), (True, "rst")])
def test_cut_stream_ends_the_connection_after_some_events(proxy: Proxy, reset: bool, ending: str) -> None:
    """Exactly three events arrive, and the end is the one that was asked for."""
    name = proxy.add("cut_stream", {"after_events": 3, "reset": reset})
    answer = proxy.fetch("/slow")
    assert (texts(answer.events), answer.ending) == ([" t1", " t2", " t3"], ending)
    evidence = proxy.evidence(name)
    assert (evidence["streams_cut"], evidence["events_cut"]) == (1, 1)
    assert evidence["connections_reset" if reset else "connections_closed"] == 1


@pytest.mark.parametrize("count", [0, 1, 5])
def test_cut_stream_cuts_done_off_too(proxy: Proxy, framing: str, count: int) -> None:
    """After all five events `[DONE]` is still missing."""
    proxy.add("cut_stream", {"after_events": count})
    answer = proxy.fetch(framing)
    assert texts(answer.events) == [f" t{n}" for n in range(1, count + 1)]
    assert answer.ending == ("complete" if framing == "/close" else "fin")


@pytest.mark.parametrize("count", [1, len(EVENTS[0]), len(EVENTS[0]) + 7])
def test_cut_stream_counts_bytes_of_the_body(proxy: Proxy, framing: str, count: int) -> None:
    """Not one more and not one less."""
    proxy.add("cut_stream", {"after_bytes": count})
    assert proxy.fetch(framing).body == STREAM[:count]


def test_drop_done(proxy: Proxy, framing: str) -> None:
    """The response ends as it should, the terminal event is missing."""
    name = proxy.add("drop_done")
    answer = proxy.fetch(framing)
    assert (answer.ending, answer.body) == ("complete", b"".join(EVENTS))
    assert proxy.evidence(name)["events_dropped"] == 1


def test_drop_event(proxy: Proxy, framing: str) -> None:
    """One token is missing in the middle."""
    proxy.add("drop_event", {"nth": 3})
    assert texts(proxy.fetch(framing).events) == [" t1", " t2", " t4", " t5", "done"]


def test_repeat_event(proxy: Proxy, framing: str) -> None:
    """One token comes twice."""
    name = proxy.add("repeat_event", {"nth": 3})
    assert texts(proxy.fetch(framing).events) == [" t1", " t2", " t3", " t3", " t4", " t5", "done"]
    assert proxy.evidence(name)["events_repeated"] == 1


def test_corrupt_event(proxy: Proxy, framing: str) -> None:
    """One event is no JSON any more; the framing around it is whole."""
    name = proxy.add("corrupt_event", {"nth": 3})
    assert texts(proxy.fetch(framing).events) == [" t1", " t2", "broken", " t4", " t5", "done"]
    assert proxy.evidence(name)["events_changed"] == 1


def test_error_event_ends_the_stream(proxy: Proxy, framing: str) -> None:
    """An error object under status 200, then `[DONE]` and a regular end."""
    name = proxy.add("error_event", {"after_events": 2, "status": 503, "message": "gone"})
    answer = proxy.fetch(framing)
    assert texts(answer.events) == [" t1", " t2", "error", "done"]
    assert json.loads(answer.events[2][6:]) == {"error": {"message": "gone", "type": "server_error", "code": 503}}
    assert (answer.status, answer.ending) == (200, "complete")
    assert proxy.evidence(name)["events_added"] == 1


def test_error_event_may_let_the_stream_go_on(proxy: Proxy, framing: str) -> None:
    """Without `terminate` nothing else changes."""
    proxy.add("error_event", {"after_events": 5, "terminate": False})
    assert texts(proxy.fetch(framing).events) == [" t1", " t2", " t3", " t4", " t5", "error", "done"]


def test_a_terminated_stream_leaves_the_connection_usable(proxy: Proxy) -> None:
    """What the upstream still sends of it is swallowed."""
    proxy.add("error_event", {"after_events": 1})
    with proxy.http() as client:
        for _ in range(3):
            assert texts(client.fetch(get("/slow")).events) == [" t1", "error", "done"]
        assert client.fetch(get("/json")).body == b"{}"


def test_swap_model(proxy: Proxy, framing: str) -> None:
    """Every event names another model, even one that needs quoting."""
    proxy.add("swap_model", {"model": 'other "b"'})
    events = proxy.fetch(framing).events
    assert [json.loads(event[6:])["model"] for event in events[:-1]] == ['other "b"'] * 5


def test_token_rate_paces_events(proxy: Proxy, framing: str) -> None:
    """Five events at 50 a second take four intervals of 20 ms."""
    name = proxy.add("token_rate", {"tokens_per_s": 50})
    watch = Stopwatch()
    answer = proxy.fetch(framing)
    assert answer.body == STREAM
    assert 0.079 <= watch.s <= 0.08 + LATE_S
    assert proxy.evidence(name)["events_delayed"] == 4


@pytest.mark.parametrize(("reset", "ending"), [(False, "fin"), (True, "rst")])
def test_idle_close_ends_a_connection_that_nobody_uses(proxy: Proxy, reset: bool, ending: str) -> None:
    """A stream that runs longer than the idle time is not idle."""
    proxy.add("idle_close", {"idle_ms": 60, "reset": reset})
    with proxy.http() as client:
        for _ in range(2):
            assert client.fetch(get("/slow")).body == STREAM
        watch = Stopwatch()
        assert client.peer.receive_all() == (b"", ending)
        assert 0.05 <= watch.s <= 0.06 + LATE_S
