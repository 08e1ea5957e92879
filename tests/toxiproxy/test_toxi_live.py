"""Toxics that know HTTP come and go in the middle of streams without breaking them."""

from __future__ import annotations

from typing import Any

import pytest
from toxi_peers import get
from toxi_server import Proxy, Server
from toxi_upstreams import CHUNKED_HEAD, DONE, EVENTS, STREAM, Engine, chunk, texts, upstream

from servedrill.host.clock import wait_for


def passed(proxy: Proxy, events: int) -> None:
    """Wait until so many events of a chunked stream have gone down."""
    size = len(CHUNKED_HEAD) + sum(len(chunk(event)) for event in EVENTS[:events])
    wait_for(lambda: proxy.stats()["bytes_down"] >= size, what=f"{events} events passed", within_s=30)


def test_a_toxic_taken_away_mid_stream_leaves_it_whole(
    proxy: Proxy, engine: Engine, stream_toxic: tuple[str, dict[str, Any]]
) -> None:
    """The rest of the stream, and the next answers on the connection, are framed correctly."""
    name = proxy.add(*stream_toxic)
    with proxy.http() as client:
        client.peer.send(get("/gated"))
        engine.step()
        passed(proxy, 1)
        proxy.remove(name)
        engine.step(5)
        answer = client.read()
        assert (answer.ending, answer.body.replace(b'"m2"', b'"m1"')) == ("complete", STREAM)
        assert client.fetch(get("/json")).body == b"{}"


@pytest.mark.parametrize("tap", [True, False])
def test_a_toxic_joins_a_connection_that_is_in_use(server: Server, engine: Engine, tap: bool) -> None:
    """With a tap in the middle of the stream, without one from the next request on."""
    with upstream(engine) as address:
        proxy = server.proxy("q", address, tap=tap)
        with proxy.http() as client:
            client.peer.send(get("/gated"))
            engine.step(2)
            passed(proxy, 2)
            proxy.add("drop_event", {"nth": 2})
            engine.step(4)
            first = [" t1", " t2", " t3", " t5", "done"] if tap else [" t1", " t2", " t3", " t4", " t5", "done"]
            assert texts(client.read().events) == first
            assert texts(client.fetch(get("/chunked")).events) == [" t1", " t3", " t4", " t5", "done"]


def test_several_http_toxics_and_plain_ones_work_together(proxy: Proxy) -> None:
    """In the order in which they were added."""
    proxy.add("slicer", {"average_size": 20, "size_variation": 10})
    proxy.add("drop_event", {"nth": 1})
    proxy.add("latency", {"latency": 5})
    proxy.add("repeat_event", {"nth": 1})
    proxy.add("swap_model", {"model": "m2"})
    proxy.add("http_status", {"path": "/json"})
    with proxy.http() as client:
        for path in ("/chunked", "/ragged", "/fixed"):
            answer = client.fetch(get(path))
            assert texts(answer.events) == [" t2", " t2", " t3", " t4", " t5", "done"]
            assert answer.body.count(b'"m2"') == 5
            assert client.fetch(get("/json")).status == 503


def test_a_toxic_that_joins_behind_one_that_frames_anew_waits_for_what_is_held_before_both(
    server: Server, engine: Engine
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


def test_a_toxic_taken_away_while_it_answers_finishes_the_answer(proxy: Proxy, engine: Engine) -> None:
    """The rest of a request that the upstream has not seen the beginning of never reaches it."""
    name = proxy.add("http_status")
    with proxy.http() as client:
        head = get("/json", "transfer-encoding: chunked", method="POST")
        client.peer.send(head + b"3\r\nabc\r\n")
        wait_for(lambda: proxy.stats()["connections"] == 1, what="the connection", within_s=30)
        assert client.is_silent_for(0.05)
        proxy.remove(name)
        client.peer.send(b"2\r\nde\r\n0\r\n\r\n")
        assert client.read().status == 503
        assert client.fetch(get("/json")).body == b"{}"
    assert len(engine.requests) == 1


def test_an_update_acts_on_the_stream_that_is_running(proxy: Proxy, engine: Engine) -> None:
    """Here: the limit after which it is cut."""
    name = proxy.add("cut_stream", {"after_events": 99})
    with proxy.http() as client:
        client.peer.send(get("/gated"))
        engine.step(2)
        passed(proxy, 2)
        proxy.change(name, attributes={"after_events": 3})
        engine.step(4)
        assert texts(client.read().events) == [" t1", " t2", " t3"]


def test_toxicity_decides_per_connection(proxy: Proxy) -> None:
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
