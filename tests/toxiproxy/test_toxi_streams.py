"""What toxics that know HTTP do to responses and event streams, for every framing a server may use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from toxi_world import (
    CHUNKED_HEAD,
    DONE,
    EVENTS,
    STREAM,
    Engine,
    Proxy,
    Server,
    Stopwatch,
    answering_at_the_end,
    chunk,
    dead_address,
    echoing,
    get,
    post,
    sending,
    upstream,
)

from servedrill.host.clock import wait_for

FRAMINGS = ["/chunked", "/ragged", "/fixed", "/close"]
LATE_S = 0.25
EVERY_TOXIC: list[tuple[str, dict[str, Any]]] = [
    ("http_status", {"probability": 0}),
    ("delay_headers", {"delay": 1}),
    ("delay_first_token", {"delay": 1}),
    ("stall_stream", {"after_events": 2, "duration": 1}),
    ("cut_stream", {"after_events": 99}),
    ("drop_done", {}),
    ("drop_event", {"nth": 2}),
    ("repeat_event", {"nth": 2}),
    ("corrupt_event", {"nth": 2}),
    ("error_event", {"after_events": 2}),
    ("swap_model", {"model": "m2"}),
    ("token_rate", {"tokens_per_s": 500}),
    ("idle_close", {"idle_ms": 60_000}),
]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def proxy(server: Server, engine: Engine) -> Iterator[Proxy]:
    with upstream(engine) as address:
        yield server.proxy("p", address)


@pytest.fixture(params=FRAMINGS)
def framing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def one(proxy: Proxy, path: str) -> Any:
    with proxy.http() as client:
        return client.fetch(get(path))


def texts(events: list[bytes]) -> list[str]:
    """The token texts of a stream, its other events by name."""
    found = []
    for event in events:
        data = event.removeprefix(b"data: ").strip()
        try:
            body = json.loads(data)
            found.append(body["choices"][0]["text"] if "choices" in body else "error")
        except ValueError:
            found.append("done" if data == b"[DONE]" else "broken")
    return found


@pytest.mark.parametrize(("type_name", "attributes"), EVERY_TOXIC)
def test_a_plain_answer_passes_every_stream_toxic_unchanged(
    proxy: Proxy, type_name: str, attributes: dict[str, Any]
) -> None:
    """JSON answers, HEAD answers and uploads on one keep-alive connection are none of their business."""
    proxy.add(type_name, attributes)
    with proxy.http() as client:
        for _ in range(2):
            assert client.fetch(get("/json")).body == b"{}"
            assert client.fetch(get("/json", method="HEAD")).headers["content-length"] == "2"
            assert client.fetch(get("/chunked", method="HEAD")).headers["transfer-encoding"] == "chunked"
            assert client.fetch(post("/json", b"x" * 100_000)).body == b"{}"


@pytest.mark.parametrize(("type_name", "attributes"), EVERY_TOXIC)
def test_what_is_not_http_passes_every_toxic_untouched(
    server: Server, type_name: str, attributes: dict[str, Any]
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
            proxy.add(type_name, attributes)
            with proxy.connect() as peer:
                peer.send(sent)
                if name == "half-close":
                    peer.half_close()
                assert peer.receive(len(expected)) == expected, name


def test_delay_headers_holds_the_head(proxy: Proxy, framing: str) -> None:
    """The stream behind it is complete and in order."""
    name = proxy.add("delay_headers", {"delay": 80})
    answer = one(proxy, framing)
    assert 0.079 <= answer.t_head_s <= 0.08 + LATE_S
    assert (answer.ending, answer.body) == ("complete", STREAM)
    assert proxy.evidence(name)["heads_delayed"] == 1


def test_delay_first_token_holds_the_first_event_but_not_the_head(proxy: Proxy) -> None:
    """A timeout on headers does not see it, one on the first token does."""
    name = proxy.add("delay_first_token", {"delay": 400})
    answer = one(proxy, "/chunked")
    assert answer.t_head_s < 0.3
    assert 0.399 <= answer.t_parts_s[0] <= 0.4 + LATE_S
    assert answer.body == STREAM
    assert proxy.evidence(name)["events_delayed"] == 1


def test_stall_stream_holds_what_comes_after_some_events(proxy: Proxy, framing: str) -> None:
    """Two events at once, the rest after the stall."""
    name = proxy.add("stall_stream", {"after_events": 2, "duration": 400})
    watch = Stopwatch()
    answer = one(proxy, framing)
    assert answer.body == STREAM
    assert watch.s >= 0.399
    if framing == "/chunked":
        assert answer.t_parts_s[1] < 0.3
        assert answer.t_parts_s[2] >= 0.399
    assert proxy.evidence(name)["streams_stalled"] == 1


def test_stall_stream_for_ever_ends_with_the_toxic(proxy: Proxy) -> None:
    """Nothing is lost: what was held comes when the toxic is removed."""
    name = proxy.add("stall_stream", {"after_events": 1})
    with proxy.http() as client:
        client.peer.send(get("/chunked"))
        wait_for(lambda: proxy.evidence(name)["events_delayed"] == 5, what="events held", within_s=5)
        proxy.change(name, attributes={"after_events": 2})
        proxy.remove(name)
        assert client.read().body == STREAM
        assert client.fetch(get("/json")).body == b"{}"


@pytest.mark.parametrize(("reset", "ending"), [(False, "fin"), (True, "rst")])
def test_cut_stream_ends_the_connection_after_some_events(proxy: Proxy, reset: bool, ending: str) -> None:
    """Exactly three events arrive, and the end is the one that was asked for."""
    name = proxy.add("cut_stream", {"after_events": 3, "reset": reset})
    answer = one(proxy, "/slow")
    assert (texts(answer.events), answer.ending) == ([" t1", " t2", " t3"], ending)
    evidence = proxy.evidence(name)
    assert (evidence["streams_cut"], evidence["events_cut"]) == (1, 1)
    assert evidence["connections_reset" if reset else "connections_closed"] == 1


@pytest.mark.parametrize("count", [0, 1, 5])
def test_cut_stream_cuts_done_off_too(proxy: Proxy, framing: str, count: int) -> None:
    """After all five events `[DONE]` is still missing."""
    proxy.add("cut_stream", {"after_events": count})
    answer = one(proxy, framing)
    assert texts(answer.events) == [f" t{n}" for n in range(1, count + 1)]
    assert answer.ending == ("complete" if framing == "/close" else "fin")


@pytest.mark.parametrize("count", [1, len(EVENTS[0]), len(EVENTS[0]) + 7])
def test_cut_stream_counts_bytes_of_the_body(proxy: Proxy, framing: str, count: int) -> None:
    """Not one more and not one less."""
    proxy.add("cut_stream", {"after_bytes": count})
    assert one(proxy, framing).body == STREAM[:count]


def test_drop_done(proxy: Proxy, framing: str) -> None:
    """The response ends as it should, the terminal event is missing."""
    name = proxy.add("drop_done")
    answer = one(proxy, framing)
    assert (answer.ending, answer.body) == ("complete", b"".join(EVENTS))
    assert proxy.evidence(name)["events_dropped"] == 1


def test_drop_event(proxy: Proxy, framing: str) -> None:
    """One token is missing in the middle."""
    proxy.add("drop_event", {"nth": 3})
    assert texts(one(proxy, framing).events) == [" t1", " t2", " t4", " t5", "done"]


def test_repeat_event(proxy: Proxy, framing: str) -> None:
    """One token comes twice."""
    name = proxy.add("repeat_event", {"nth": 3})
    assert texts(one(proxy, framing).events) == [" t1", " t2", " t3", " t3", " t4", " t5", "done"]
    assert proxy.evidence(name)["events_repeated"] == 1


def test_corrupt_event(proxy: Proxy, framing: str) -> None:
    """One event is no JSON any more; the framing around it is whole."""
    name = proxy.add("corrupt_event", {"nth": 3})
    assert texts(one(proxy, framing).events) == [" t1", " t2", "broken", " t4", " t5", "done"]
    assert proxy.evidence(name)["events_changed"] == 1


def test_error_event_ends_the_stream(proxy: Proxy, framing: str) -> None:
    """An error object under status 200, then `[DONE]` and a regular end."""
    name = proxy.add("error_event", {"after_events": 2, "status": 503, "message": "gone"})
    answer = one(proxy, framing)
    assert texts(answer.events) == [" t1", " t2", "error", "done"]
    assert json.loads(answer.events[2][6:]) == {"error": {"message": "gone", "type": "server_error", "code": 503}}
    assert (answer.status, answer.ending) == (200, "complete")
    assert proxy.evidence(name)["events_added"] == 1


def test_error_event_may_let_the_stream_go_on(proxy: Proxy, framing: str) -> None:
    """Without `terminate` nothing else changes."""
    proxy.add("error_event", {"after_events": 5, "terminate": False})
    assert texts(one(proxy, framing).events) == [" t1", " t2", " t3", " t4", " t5", "error", "done"]


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
    events = one(proxy, framing).events
    assert [json.loads(event[6:])["model"] for event in events[:-1]] == ['other "b"'] * 5


def test_token_rate_paces_events(proxy: Proxy, framing: str) -> None:
    """Five events at 50 a second take four intervals of 20 ms."""
    name = proxy.add("token_rate", {"tokens_per_s": 50})
    watch = Stopwatch()
    answer = one(proxy, framing)
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


class TestHttpStatus:
    """The proxy answers in place of the upstream."""

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 418])
    def test_it_answers_as_an_openai_style_server(self, proxy: Proxy, engine: Engine, status: int) -> None:
        """The upstream does not see the request."""
        name = proxy.add("http_status", {"status": status, "retry_after": 3, "body_message": "busy"})
        with proxy.http() as client:
            answer = client.fetch(post("/json", b"{}"))
            assert (answer.status, answer.headers["retry-after"]) == (status, "3")
            error = json.loads(answer.body)["error"]
            assert (error["message"], error["code"]) == ("busy", status)
            assert error["type"] == ("server_error" if status >= 500 else error["type"])
            assert client.fetch(get("/json", method="HEAD")).status == status
            assert client.fetch(post("/json", b"x" * 200_000)).status == status
        assert engine.requests == []
        assert proxy.evidence(name)["answers_made"] == 3

    def test_it_fails_so_many_times_and_then_succeeds(self, proxy: Proxy) -> None:
        """Counted over all connections."""
        proxy.add("http_status", {"status": 503, "fail_times": 3})
        statuses = []
        for _ in range(3):
            with proxy.http() as client:
                statuses += [client.fetch(get("/json")).status for _ in range(2)]
        assert statuses == [503, 503, 503, 200, 200, 200]

    def test_probability_is_drawn_per_request_and_replays(self, server: Server, engine: Engine) -> None:
        """The same proxy and toxic names on the same server draw the same."""
        runs = []
        with upstream(engine) as address:
            for _ in range(2):
                proxy = server.proxy("q", address)
                proxy.add("http_status", {"probability": 0.5})
                with proxy.http() as client:
                    runs.append([client.fetch(get("/json")).status for _ in range(30)])
                server.call("DELETE", proxy.path)
        assert runs[0] == runs[1]
        assert 5 <= runs[0].count(503) <= 25

    def test_a_path_limits_it(self, proxy: Proxy) -> None:
        """Health checks through the same proxy stay well."""
        proxy.add("http_status", {"path": "/chunked"})
        with proxy.http() as client:
            assert [client.fetch(get(path)).status for path in ("/json", "/chunked", "/json")] == [200, 503, 200]

    def test_pipelined_answers_keep_the_order_of_the_requests(self, proxy: Proxy) -> None:
        """Slow streams of the upstream with answers of the proxy before, between and behind them."""
        proxy.add("http_status", {"path": "/json"})
        paths = ["/json", "/slow", "/json", "/json", "/chunked", "/fixed", "/json"]
        with proxy.http() as client:
            client.peer.send(b"".join(get(path) for path in paths))
            answers = [client.read() for _ in paths]
        assert [answer.status for answer in answers] == [503 if path == "/json" else 200 for path in paths]
        assert [answer.body == STREAM for answer in answers] == [path != "/json" for path in paths]

    def test_a_client_that_wants_the_connection_closed_gets_that(self, proxy: Proxy) -> None:
        """So does one that waits for permission to send its body."""
        proxy.add("http_status")
        for request in (
            get("/json", "connection: close"),
            post("/json", b"", "expect: 100-continue").replace(b"length: 0", b"length: 9"),
        ):
            with proxy.connect() as peer:
                peer.send(request)
                data, ending = peer.receive_all()
                assert data.startswith(b"HTTP/1.1 503 ") and b"connection: close" in data
                assert ending == "fin"

    def test_its_answer_passes_the_toxics_of_the_way_down(self, proxy: Proxy) -> None:
        """As if it had come from the upstream."""
        proxy.add("http_status")
        proxy.add("latency", {"latency": 60})
        proxy.add("delay_headers", {"delay": 50})
        answer = one(proxy, "/json")
        assert answer.status == 503
        assert answer.t_head_s >= 0.109

    @pytest.mark.parametrize("attributes", [{"status": 99}, {"probability": 2}, {"retry_after": -1}, {"status": "503"}])
    def test_attributes_that_cannot_be_are_400(self, proxy: Proxy, attributes: dict[str, Any]) -> None:
        body = {"type": "http_status", "attributes": attributes}
        assert proxy.server.call("POST", f"{proxy.path}/toxics", body)[0] == 400


class TestLiveConnections:
    """HTTP toxics come and go in the middle of streams without breaking them."""

    def passed(self, proxy: Proxy, events: int) -> None:
        """Wait until so many events of a chunked stream have gone down."""
        size = len(CHUNKED_HEAD) + sum(len(chunk(event)) for event in EVENTS[:events])
        wait_for(lambda: proxy.stats()["bytes_down"] >= size, what=f"{events} events passed", within_s=5)

    @pytest.mark.parametrize(("type_name", "attributes"), EVERY_TOXIC)
    def test_a_toxic_taken_away_mid_stream_leaves_it_whole(
        self, proxy: Proxy, engine: Engine, type_name: str, attributes: dict[str, Any]
    ) -> None:
        """The rest of the stream, and the next answers on the connection, are framed correctly."""
        name = proxy.add(type_name, attributes)
        with proxy.http() as client:
            client.peer.send(get("/gated"))
            engine.step()
            self.passed(proxy, 1)
            proxy.remove(name)
            engine.step(5)
            answer = client.read()
            assert (answer.ending, answer.body.replace(b'"m2"', b'"m1"')) == ("complete", STREAM)
            assert client.fetch(get("/json")).body == b"{}"

    @pytest.mark.parametrize("tap", [True, False])
    def test_a_toxic_joins_a_connection_that_is_in_use(self, server: Server, engine: Engine, tap: bool) -> None:
        """With a tap in the middle of the stream, without one from the next request on."""
        with upstream(engine) as address:
            proxy = server.proxy("q", address, tap=tap)
            with proxy.http() as client:
                client.peer.send(get("/gated"))
                engine.step(2)
                self.passed(proxy, 2)
                proxy.add("drop_event", {"nth": 2})
                engine.step(4)
                first = [" t1", " t2", " t3", " t5", "done"] if tap else [" t1", " t2", " t3", " t4", " t5", "done"]
                assert texts(client.read().events) == first
                assert texts(client.fetch(get("/chunked")).events) == [" t1", " t3", " t4", " t5", "done"]

    def test_several_http_toxics_and_plain_ones_work_together(self, proxy: Proxy) -> None:
        """In the order in which they were added."""
        proxy.add("slicer", {"average_size": 20, "size_variation": 10})
        proxy.add("drop_event", {"nth": 1})
        proxy.add("latency", {"latency": 5})
        proxy.add("repeat_event", {"nth": 1})
        proxy.add("swap_model", {"model": "m2"})
        proxy.add("http_status", {"path": "/json"})
        with proxy.http() as client:
            for path in FRAMINGS[:3]:
                answer = client.fetch(get(path))
                assert texts(answer.events) == [" t2", " t2", " t3", " t4", " t5", "done"]
                assert answer.body.count(b'"m2"') == 5
                assert client.fetch(get("/json")).status == 503

    def test_a_toxic_that_joins_behind_one_that_frames_anew_waits_for_what_is_held_before_both(
        self, server: Server, engine: Engine
    ) -> None:
        """Bytes that the first has not read yet will have another length when they come to the second."""
        with upstream(engine) as address:
            proxy = server.proxy("q", address, tap=True)
            proxy.add("latency", {"latency": 20})
            proxy.add("drop_event", {"nth": 1_000_000}, name="first")
            with proxy.http() as client:
                for delay_s in (0.0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04):
                    client.peer.send(get("/torn"))
                    client.peer.is_silent_for(delay_s)
                    name = proxy.add("repeat_event", {"nth": 1_000_000})
                    answer = client.read()
                    assert (answer.ending, answer.body) == ("complete", STREAM)
                    proxy.remove(name)

    def test_a_toxic_taken_away_while_it_answers_finishes_the_answer(self, proxy: Proxy, engine: Engine) -> None:
        """The rest of a request that the upstream has not seen the beginning of never reaches it."""
        name = proxy.add("http_status")
        with proxy.http() as client:
            head = get("/json", "transfer-encoding: chunked", method="POST")
            client.peer.send(head + b"3\r\nabc\r\n")
            wait_for(lambda: proxy.server.get(f"{proxy.path}/stats")["stats"]["connections"] == 1, what="c", within_s=5)
            assert client.is_silent_for(0.05)
            proxy.remove(name)
            client.peer.send(b"2\r\nde\r\n0\r\n\r\n")
            assert client.read().status == 503
            assert client.fetch(get("/json")).body == b"{}"
        assert len(engine.requests) == 1

    def test_an_update_acts_on_the_stream_that_is_running(self, proxy: Proxy, engine: Engine) -> None:
        """Here: the limit after which it is cut."""
        name = proxy.add("cut_stream", {"after_events": 99})
        with proxy.http() as client:
            client.peer.send(get("/gated"))
            engine.step(2)
            self.passed(proxy, 2)
            proxy.change(name, attributes={"after_events": 3})
            engine.step(4)
            assert texts(client.read().events) == [" t1", " t2", " t3"]

    def test_toxicity_decides_per_connection(self, proxy: Proxy) -> None:
        """A connection that did not draw the toxic never sees it."""
        name = proxy.add("drop_done", toxicity=0.5)
        seen = []
        for _ in range(20):
            with proxy.http() as client:
                pair = {client.fetch(get("/chunked")).body.endswith(DONE) for _ in range(2)}
                assert len(pair) == 1
                seen.append(pair.pop())
        assert seen.count(False) == proxy.evidence(name)["links_hit"]
        assert 3 <= seen.count(False) <= 17


def test_http_status_needs_no_living_upstream_to_answer_on_a_live_connection(proxy: Proxy, engine: Engine) -> None:
    """A new connection to a dead upstream is refused all the same: the proxy does not invent a server."""
    proxy.add("http_status")
    proxy.server.call("PATCH", proxy.path, {"upstream": dead_address()})
    try:
        with proxy.http() as client:
            assert client.fetch(get("/json")).ending == "rst"
    except ConnectionResetError:
        pass  # The reset was there before connect() or send() returned.
