"""Where the original falls short: half-closes, honest refusals, real resets, replayable chance, times to live."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toxi_peers import Peer, Stopwatch
from toxi_server import Server
from toxi_upstreams import dead_address, sending, swallowing, upstream

from servedrill.host.clock import wait_for


def test_a_half_close_keeps_the_answer(server: Server, late_answer: str) -> None:
    """A client may shut its sending side and still read."""
    proxy = server.proxy("p", late_answer)
    proxy.add("latency", {"latency": 20}, stream="upstream")
    with proxy.connect() as peer:
        peer.send(b"x" * 1000)
        peer.half_close()
        assert peer.receive_all() == (b"got 1000", "fin")
    proxy.quiet()


def test_a_dead_upstream_is_refused_with_a_reset(server: Server) -> None:
    """No FIN that looks like an empty answer, and no hanging."""
    proxy = server.proxy("p", dead_address())
    watch = Stopwatch()
    try:
        with proxy.connect() as peer:
            assert peer.receive_all() == (b"", "rst")
    except ConnectionResetError:
        pass  # The reset was there before connect() returned.
    assert watch.s < 1
    proxy.quiet()
    assert proxy.stats()["refused"] == 1


def test_a_client_can_tell_that_it_was_connected_before_it_is_refused(server: Server) -> None:
    """connect() succeeds as against any server; what is sent then is refused without delay."""
    proxy = server.proxy("p", dead_address())
    for _ in range(30):
        with proxy.connect() as peer:
            peer.send(b"x")
            assert peer.receive_all() == (b"", "rst")


@pytest.mark.parametrize(
    "address", ["nowhere", "127.0.0.1:99999", "[::1", "a:b:1", "\x00:1", "127.0.0.1:", ":1", "ü" * 80 + ":1"]
)
def test_an_upstream_that_is_no_address_is_refused_too(server: Server, address: str) -> None:
    """It can be created, as in the original; whoever connects learns the truth."""
    proxy = server.proxy("p", address)
    try:
        with proxy.connect() as peer:
            assert peer.receive_all() == (b"", "rst")
    except ConnectionResetError:
        pass  # The reset was there before connect() returned.
    proxy.quiet()
    assert proxy.stats()["refused"] == 1


def test_a_reset_by_the_client_reaches_the_upstream_as_a_reset(server: Server) -> None:
    """A fault proxy must not turn one ending into another."""
    endings: list[str] = []
    with upstream(lambda peer: endings.append(peer.receive_all()[1])) as address:
        proxy = server.proxy("p", address)
        peer = proxy.connect()
        peer.send(b"x")
        wait_for(lambda: proxy.stats()["bytes_up"] == 1, what="byte passed", within_s=30)
        peer.reset()
        wait_for(lambda: bool(endings), what="end at the upstream", within_s=30)
        with proxy.connect() as peer:
            peer.send(b"x")
        wait_for(lambda: len(endings) == 2, what="second end at the upstream", within_s=30)
    assert endings == ["rst", "fin"]


def test_a_reset_by_the_upstream_reaches_the_client_as_a_reset(server: Server) -> None:
    """Data that came before it is delivered."""

    def talk(peer: Peer) -> None:
        peer.receive(1)
        peer.send(b"half an ans")
        peer.receive(1)
        peer.reset()

    with upstream(talk) as address:
        proxy = server.proxy("p", address)
        with proxy.connect() as peer:
            peer.send(b"x")
            assert peer.receive(11) == b"half an ans"
            peer.send(b"y")
            assert peer.receive_all() == (b"", "rst")


def test_reset_peer_resets_live_idle_connections(server: Server, echo: str) -> None:
    """A pooled connection that is open but silent is reset too."""
    proxy = server.proxy("p", echo)
    with proxy.connect() as peer:
        peer.send(b"x")
        assert peer.receive(1) == b"x"
        name = proxy.add("reset_peer", {"timeout": 30})
        assert peer.receive_all() == (b"", "rst")
    assert proxy.evidence(name)["connections_reset"] == 1


def test_a_reset_that_is_due_comes_at_once_when_the_toxic_goes(server: Server, echo: str) -> None:
    """Bytes were swallowed, or the end was: such a connection cannot go on."""
    proxy = server.proxy("p", echo)
    for half_close in (False, True):
        name = proxy.add("reset_peer", {"timeout": 60_000}, stream="upstream")
        with proxy.connect() as peer:
            if half_close:
                peer.half_close()
            else:
                peer.send(b"x")
            assert peer.is_silent_for(0.05)
            proxy.remove(name)
            assert peer.receive_all() == (b"", "rst")
        proxy.quiet()


def test_only_connections_that_drew_the_reset_get_one(server: Server, echo: str) -> None:
    """With toxicity 0 nothing changes, not even how connections close."""
    proxy = server.proxy("p", echo)
    name = proxy.add("reset_peer", toxicity=0)
    with upstream(sending(b"hello")) as address:
        server.call("PATCH", proxy.path, {"upstream": address})
        with proxy.connect() as peer:
            assert peer.receive(5) == b"hello"
            peer.half_close()
            assert peer.receive_all() == (b"", "fin")
    assert proxy.evidence(name)["links_drawn"] == 0


def pattern(folder: Path, seed: str, echo: str) -> tuple[list[bool], list[int]]:
    """Which connections drew a black hole, and the sizes that a slicer cut."""
    folder.mkdir()
    server = Server(folder, "--seed", seed)
    try:
        proxy = server.proxy("p", echo)
        name = proxy.add("limit_data", {"bytes": 0}, toxicity=0.4)
        hits = []
        for _ in range(40):
            with proxy.connect() as peer:
                peer.send(b"x")
                hits.append(peer.receive(1) == b"")
        assert sum(hits) == proxy.evidence(name)["links_drawn"]
        proxy.remove(name)
        proxy.add("slicer", {"average_size": 100, "size_variation": 90, "delay": 3000})
        with proxy.connect() as peer:
            peer.send(b"x" * 1000)
            sizes = []
            while sum(sizes) < 1000:
                sizes.append(len(peer.sock.recv(1000)))
        return hits, sizes
    finally:
        assert server.stop() == 0


def test_a_seed_replays_every_draw(tmp_path: Path, echo: str) -> None:
    """Two servers with one seed hit the same connections; another seed hits others."""
    first, again = pattern(tmp_path / "a", "7", echo), pattern(tmp_path / "b", "7", echo)
    assert first[0] == again[0]
    assert 5 <= sum(first[0]) <= 30
    assert pattern(tmp_path / "c", "8", echo)[0] != first[0]


def test_a_higher_toxicity_only_adds_connections(server: Server, echo: str) -> None:
    """Each connection's draw is fixed, so live changes of toxicity take toxics off and put them back."""
    proxy = server.proxy("p", echo)
    name = proxy.add("noop", toxicity=0.5)
    peers = [proxy.connect() for _ in range(30)]
    for peer in peers:
        peer.send(b"x")
        assert peer.receive(1) == b"x"
    half = proxy.evidence(name)["links_drawn"]
    assert 5 <= half <= 25
    proxy.change(name, toxicity=1)
    assert proxy.evidence(name)["links_drawn"] == 30
    proxy.change(name, toxicity=0)
    for peer in peers:
        peer.close()


def test_toxics_come_with_the_proxy_in_one_call(server: Server, echo: str) -> None:
    """Never a moment in which the proxy is up without its fault; a bad toxic creates nothing."""
    toxics = [{"type": "latency", "attributes": {"latency": 40}}, {"type": "noop", "stream": "upstream"}]
    assert server.call("POST", "/proxies", {"name": "p", "upstream": echo, "toxics": [{"type": "x"}]})[0] == 400
    assert server.get("/proxies") == {}
    status, body = server.call("POST", "/proxies", {"name": "p", "upstream": echo, "toxics": toxics})
    assert (status, [toxic["name"] for toxic in body["toxics"]]) == (201, ["noop_upstream", "latency_downstream"])
    assert server.call("POST", "/proxies", {"name": "q", "upstream": echo, "toxics": [toxics[1], toxics[1]]})[0] == 409


def test_populate_takes_toxics(server: Server, echo: str) -> None:
    """On a proxy that stays, the listed toxics take the place of those it had; null leaves them alone."""
    proxy = server.proxy("p", echo)
    proxy.add("noop")
    item = {"name": "p", "upstream": echo, "listen": proxy.listen}
    for toxics, names in ((None, ["noop_downstream"]), ([{"type": "latency"}], ["latency_downstream"]), ([], [])):
        body = server.call("POST", "/populate", [{**item, "toxics": toxics}])[1]
        assert [toxic["name"] for toxic in body["proxies"][0]["toxics"]] == names


def test_a_toxic_with_a_time_to_live_removes_itself(server: Server, echo: str) -> None:
    """What a dead injector leaves behind heals; an update counts the time anew."""
    proxy = server.proxy("p", echo)
    name = proxy.add("bandwidth", {"rate": 0}, ttl=0.15)
    watch = Stopwatch()
    with proxy.connect() as peer:
        peer.send(b"hello")
        assert proxy.change(name, ttl=0.3)["ttl"] == 0.3
        assert peer.receive(5) == b"hello"
    assert watch.s >= 0.29
    assert proxy.evidence(name)["removed_by"] == "ttl"
    assert server.get(f"{proxy.path}/toxics") == []
    assert server.call("POST", f"{proxy.path}/toxics", {"type": "noop", "ttl": -1})[0] == 400


def test_a_proxy_with_a_time_to_live_removes_itself(server: Server, echo: str) -> None:
    """Its connections end with it."""
    proxy = server.proxy("p", echo, ttl=0.2)
    with proxy.connect() as peer:
        assert peer.receive_all() == (b"", "fin")
    assert server.call("GET", proxy.path)[0] == 404


def test_removing_a_toxic_never_hangs(server: Server) -> None:
    """Not with a sink that does not read, nor with a source that does not stop."""

    def flooding(peer: Peer) -> None:
        while True:
            peer.send(b"x" * 65536)

    with upstream(flooding) as address:
        proxy = server.proxy("p", address)
        for type_name, attributes in (
            ("bandwidth", {"rate": 1}),
            ("latency", {"latency": 60_000}),
            ("slicer", {"average_size": 1, "delay": 1000}),
            ("slow_close", {"delay": 60_000}),
            ("timeout", {"timeout": 0}),
        ):
            with proxy.connect():
                wait_for(lambda: proxy.stats()["connections"] == 1, what="connection", within_s=30)
                name = proxy.add(type_name, attributes)
                watch = Stopwatch()
                proxy.remove(name)
                assert watch.s < 1, type_name
            proxy.quiet()


def test_the_port_stays_reserved_while_a_proxy_is_down(server: Server, echo: str) -> None:
    """No other program can be given it, so coming back up cannot fail."""
    proxy = server.proxy("p", echo)
    server.call("PATCH", proxy.path, {"enabled": False})
    peers = []
    other = server.proxy("other", echo)
    for _ in range(50):
        peers.append(other.connect())
    assert proxy.address[1] not in {peer.sock.getsockname()[1] for peer in peers}
    assert server.call("PATCH", proxy.path, {"enabled": True})[0] == 200
    for peer in peers:
        peer.close()


def test_held_data_is_forgotten_with_a_receiver_that_reset(server: Server) -> None:
    """A client that is known to be gone takes its connection with it, whatever a toxic was holding for it."""
    with upstream(sending(b"hello")) as address:
        proxy = server.proxy("p", address)
        proxy.add("bandwidth", {"rate": 0})
        peer = proxy.connect()
        wait_for(lambda: proxy.evidence("bandwidth_downstream")["bytes_held"] == 5, what="bytes held", within_s=30)
        peer.reset()
        proxy.quiet()


def test_held_data_waits_for_a_client_that_only_shut_its_sending_side(server: Server) -> None:
    """A FIN may be a half-close: what is held is still delivered when the toxic lets go of it."""
    with upstream(sending(b"hello")) as address:
        proxy = server.proxy("p", address)
        name = proxy.add("bandwidth", {"rate": 0})
        with proxy.connect() as peer:
            wait_for(lambda: proxy.evidence(name)["bytes_held"] == 5, what="bytes held", within_s=30)
            peer.half_close()
            assert peer.is_silent_for(0.05)
            proxy.remove(name)
            assert peer.receive_all() == (b"hello", "fin")
        proxy.quiet()


def test_a_client_that_leaves_while_the_link_up_is_stalled_is_forgotten_when_it_moves_again(server: Server) -> None:
    """Until then the upstream does not learn of it: that is what a stalled network is."""
    with upstream(swallowing) as address:
        proxy = server.proxy("p", address)
        name = proxy.add("bandwidth", {"rate": 0}, stream="upstream")
        peer = proxy.connect()
        peer.send(b"hello")
        wait_for(lambda: proxy.evidence(name)["bytes_held"] == 5, what="bytes held", within_s=30)
        peer.close()
        proxy.remove(name)
        proxy.quiet()
        assert json.loads(server.raw("GET", f"{proxy.path}/stats")[2])["stats"]["bytes_up"] == 5
