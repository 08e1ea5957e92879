"""What each plain toxic does to bytes on real sockets, measured.

Lower bounds are strict, upper ones leave room for a busy machine.
"""

from __future__ import annotations

import pytest
from toxi_peers import Stopwatch
from toxi_server import Proxy, Server
from toxi_upstreams import sending, swallowing, upstream

from servedrill.host.clock import wait_for

LATE_S = 5.0
"""The machine may stand still for a moment."""


@pytest.fixture
def proxy(server: Server, echo: str) -> Proxy:
    return server.proxy("p", echo)


def round_trip_s(proxy: Proxy, data: bytes = b"hello") -> float:
    with proxy.connect() as peer:
        watch = Stopwatch()
        peer.send(data)
        assert peer.receive(len(data)) == data
        return watch.s


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_latency_delays_each_chunk(proxy: Proxy, stream: str) -> None:
    """100 ms are 100 ms, in either direction."""
    name = proxy.add("latency", {"latency": 100}, stream=stream)
    assert 0.099 <= round_trip_s(proxy) <= 0.1 + LATE_S
    evidence = proxy.evidence(name)
    assert (evidence["links_hit"], evidence["chunks_delayed"], evidence["bytes_held"]) == (1, 1, 5)


def test_latencies_add_up(proxy: Proxy) -> None:
    """Two in a row and one on the way back: 50 + 60 + 70 ms."""
    proxy.add("latency", {"latency": 50})
    proxy.add("latency", {"latency": 60}, name="second")
    proxy.add("latency", {"latency": 70}, stream="upstream")
    assert 0.179 <= round_trip_s(proxy) <= 0.18 + LATE_S


def test_latency_counts_the_time_a_chunk_has_waited_already(proxy: Proxy) -> None:
    """Behind a bandwidth limit that takes 500 ms, a latency of 600 ms adds only what is missing."""
    proxy.add("bandwidth", {"rate": 10})
    proxy.add("latency", {"latency": 600})
    assert 0.599 <= round_trip_s(proxy, b"x" * 5000) <= 0.6 + 0.4


def test_latency_is_no_limit_on_bandwidth(proxy: Proxy) -> None:
    """Megabytes sent at once arrive together, one delay later."""
    proxy.add("latency", {"latency": 200}, stream="upstream")
    with upstream(swallowing) as address:
        proxy.server.call("PATCH", proxy.path, {"upstream": address})
        with proxy.connect() as peer:
            watch = Stopwatch()
            for _ in range(40):
                peer.send(b"x" * 100_000)
            wait_for(lambda: proxy.stats()["bytes_up"] >= 4_000_000, what="4 MB passed", within_s=30)
            assert 0.199 <= watch.s <= 1.5


def test_jitter_spreads_within_its_bounds(proxy: Proxy) -> None:
    """50 +- 40 ms: every delay between 10 and 90, and not all the same."""
    proxy.add("latency", {"latency": 50, "jitter": 40})
    times = [round_trip_s(proxy) for _ in range(10)]
    assert min(times) >= 0.009
    assert max(times) - min(times) > 0.01


def test_bandwidth_limits_to_kilobytes_of_1000_bytes(proxy: Proxy) -> None:
    """50,000 bytes at 100 KB/s take half a second, and they trickle."""
    proxy.add("bandwidth", {"rate": 100})
    with proxy.connect() as peer:
        watch = Stopwatch()
        peer.send(b"x" * 50_000)
        assert len(peer.receive(10_000)) == 10_000
        assert 0.09 <= watch.s <= 0.4
        assert len(peer.receive(40_000)) == 40_000
        assert 0.49 <= watch.s <= 0.5 + LATE_S


def test_bandwidth_zero_stalls_until_it_changes(proxy: Proxy) -> None:
    """What was held goes on at the new rate: nothing is lost."""
    name = proxy.add("bandwidth", {"rate": 0})
    with proxy.connect() as peer:
        peer.send(b"hello")
        wait_for(lambda: proxy.evidence(name)["bytes_held"] == 5, what="bytes held", within_s=30)
        assert peer.is_silent_for(0.05)
        proxy.change(name, attributes={"rate": 1000})
        assert peer.receive(5) == b"hello"


def test_a_stalled_link_slows_the_sender_down(server: Server) -> None:
    """The proxy does not swallow without end: backpressure reaches the client."""
    with upstream(swallowing) as address:
        proxy = server.proxy("stalled", address)
        proxy.add("bandwidth", {"rate": 0}, stream="upstream")
        with proxy.connect(SO_SNDBUF=64 * 1024) as peer:
            peer.sock.settimeout(0.3)
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < 64_000_000:
                    sent += peer.sock.send(b"x" * 65536)
            assert sent < 20_000_000


def test_slow_close_delays_only_the_close(server: Server) -> None:
    """The data comes at once, its end a second later."""
    with upstream(lambda peer: peer.send(b"hello")) as address:
        proxy = server.proxy("p2", address)
        name = proxy.add("slow_close", {"delay": 1000})
        with proxy.connect() as peer:
            watch = Stopwatch()
            assert peer.receive(5) == b"hello"
            assert watch.s < 0.9
            assert peer.receive_all() == (b"", "fin")
            assert 0.999 <= watch.s <= 1.0 + LATE_S
    assert proxy.evidence(name)["closes_delayed"] == 1


def test_timeout_drops_data_and_closes_after_the_last_chunk(proxy: Proxy) -> None:
    """100 ms count from the chunk at 60 ms, not from the start."""
    name = proxy.add("timeout", {"timeout": 100}, stream="upstream")
    with proxy.connect() as peer:
        watch = Stopwatch()
        assert peer.is_silent_for(0.06)
        peer.send(b"hello")
        assert peer.receive_all() == (b"", "fin")
        assert 0.159 <= watch.s <= 0.16 + LATE_S
    evidence = proxy.evidence(name)
    assert (evidence["bytes_dropped"], evidence["connections_closed"]) == (5, 1)


def test_timeout_zero_is_a_black_hole_and_removing_it_closes_the_connection(proxy: Proxy) -> None:
    """It never closes by itself; a connection that lost bytes is not handed back as if it were whole."""
    name = proxy.add("timeout", {"timeout": 0})
    with proxy.connect() as peer:
        peer.send(b"hello")
        wait_for(lambda: proxy.evidence(name)["bytes_dropped"] == 5, what="bytes dropped", within_s=30)
        assert peer.is_silent_for(0.05)
        proxy.remove(name)
        assert peer.receive_all() == (b"", "fin")
    assert round_trip_s(proxy) < LATE_S


def test_reset_peer_resets_a_new_connection_after_its_first_bytes(proxy: Proxy) -> None:
    """An RST, not a FIN, `timeout` milliseconds after the request."""
    name = proxy.add("reset_peer", {"timeout": 80})
    with proxy.connect() as peer:
        watch = Stopwatch()
        peer.send(b"hello")
        assert peer.receive_all() == (b"", "rst")
        assert 0.079 <= watch.s <= 0.08 + LATE_S
    assert proxy.evidence(name)["connections_reset"] == 1


def test_slicer_cuts_and_spaces(proxy: Proxy) -> None:
    """100 bytes in slices of 10 +- 4, 10 ms apart: at least 7 slices, so at least 60 ms; not one byte out of order."""
    name = proxy.add("slicer", {"average_size": 10, "size_variation": 4, "delay": 10_000})
    data = bytes(range(100))
    with proxy.connect() as peer:
        watch = Stopwatch()
        peer.send(data)
        parts = []
        while sum(map(len, parts)) < 100:
            parts.append(peer.sock.recv(1000))
        assert b"".join(parts) == data
        assert watch.s >= 0.06
    assert len(parts) >= 5
    assert 6 <= proxy.evidence(name)["chunks_cut"] <= 16


@pytest.mark.parametrize("limit", [0, 1, 4, 5, 6])
def test_limit_data_passes_exactly_so_many_bytes(server: Server, limit: int) -> None:
    """Then FIN; the connection is over as soon as the limit is reached."""
    with upstream(sending(b"hello")) as address:
        proxy = server.proxy("limited", address)
        proxy.add("limit_data", {"bytes": limit})
        with proxy.connect() as peer:
            if limit <= 5:
                assert peer.receive_all() == (b"hello"[:limit], "fin")
            else:
                assert peer.receive(5) == b"hello"
                assert peer.is_silent_for(0.05)


def test_the_count_of_limit_data_survives_updates(proxy: Proxy) -> None:
    """8 of 10 bytes are used up; raising the limit to 12 leaves 4."""
    name = proxy.add("limit_data", {"bytes": 10})
    with proxy.connect() as peer:
        peer.send(b"12345678")
        assert peer.receive(8) == b"12345678"
        proxy.change(name, attributes={"bytes": 12})
        peer.send(b"abcdefgh")
        assert peer.receive_all()[0] == b"abcd"


def test_limit_data_before_a_slow_toxic_still_delivers_every_byte(proxy: Proxy) -> None:
    """The cut travels behind the data through the rest of the chain."""
    proxy.add("limit_data", {"bytes": 3})
    proxy.add("latency", {"latency": 80})
    with proxy.connect() as peer:
        watch = Stopwatch()
        peer.send(b"hello")
        assert peer.receive_all() == (b"hel", "fin")
        assert watch.s >= 0.079


def test_down_refuses_connections_and_ends_live_ones(proxy: Proxy) -> None:
    """Disabled means refused, and FIN for those that are open; the port is the same afterwards."""
    with proxy.connect() as peer:
        peer.send(b"hello")
        assert peer.receive(5) == b"hello"
        proxy.server.call("PATCH", proxy.path, {"enabled": False})
        assert peer.receive_all() == (b"", "fin")
    with pytest.raises(ConnectionRefusedError):
        proxy.connect()
    proxy.server.call("PATCH", proxy.path, {"enabled": True})
    assert round_trip_s(proxy) < LATE_S


def test_noop_changes_nothing(proxy: Proxy) -> None:
    """The control of an experiment: drawn, never hit."""
    name = proxy.add("noop")
    assert round_trip_s(proxy) < LATE_S
    evidence = proxy.evidence(name)
    assert (evidence["links_drawn"], evidence["links_hit"]) == (1, 0)


def test_toxics_come_and_go_on_a_live_connection(proxy: Proxy) -> None:
    """Adding, changing and removing act at once, and removal lets go of what was held, in order."""
    with proxy.connect() as peer:
        peer.send(b"a")
        assert peer.receive(1) == b"a"
        name = proxy.add("latency", {"latency": 60_000})
        peer.send(b"b")
        wait_for(lambda: proxy.evidence(name)["bytes_held"] == 1, what="b held", within_s=30)
        assert peer.is_silent_for(0.03)
        proxy.change(name, attributes={"latency": 1})
        assert peer.receive(1) == b"b"
        proxy.change(name, attributes={"latency": 60_000})
        for letter in (b"c", b"d", b"e"):
            peer.send(letter)
        wait_for(lambda: proxy.evidence(name)["bytes_held"] == 4, what="cde held", within_s=30)
        proxy.remove(name)
        assert peer.receive(3) == b"cde"


def test_a_toxic_removed_from_the_middle_keeps_the_order(proxy: Proxy) -> None:
    """What the first of three holds still passes the last."""
    proxy.add("latency", {"latency": 100}, name="first")
    proxy.add("latency", {"latency": 60_000}, name="second")
    proxy.add("slicer", {"average_size": 1}, name="third")
    with proxy.connect() as peer:
        peer.send(b"abc")
        wait_for(lambda: proxy.evidence("second")["bytes_held"] == 3, what="abc at the second", within_s=30)
        peer.send(b"def")
        proxy.remove("second")
        assert peer.receive(6) == b"abcdef"


def test_evidence_outlives_the_toxic_and_its_proxy(proxy: Proxy) -> None:
    """The latest toxic of a name is the one that is remembered."""
    proxy.add("latency", {"latency": 1}, name="t")
    round_trip_s(proxy)
    assert proxy.evidence("t")["active"] is True
    proxy.remove("t")
    gone = proxy.evidence("t")
    assert (gone["active"], gone["removed_by"], gone["chunks_delayed"]) == (False, "request", 1)
    proxy.add("noop", name="t")
    assert proxy.evidence("t")["type"] == "noop"
    proxy.server.call("DELETE", proxy.path)
    kept = proxy.evidence("t")
    assert (kept["type"], kept["removed_by"]) == ("noop", "proxy")
    assert proxy.server.call("GET", f"{proxy.path}/toxics/never/evidence")[0] == 404
