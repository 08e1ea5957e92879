"""The stack's name: asked for when its TTL is over, and the last answer kept when nobody answers."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from load_servers import AnsweringServer, one_class, plan_for, run_client

from servedrill.history.events import Observed
from servedrill.history.journal import read_events
from servedrill.host.clock import NS, wait_for
from servedrill.load.arrivals import Constant
from servedrill.load.generator import Load
from servedrill.load.resolver import DnsName


@dataclass
class NameServer:
    """Answers A queries with its addresses; deaf when told to be."""

    addresses: list[str]
    ttl: int
    deaf: bool = False
    rcode: int = dns.rcode.NOERROR
    alias: str | None = None
    queries: list[str] = field(default_factory=list)
    port: int = 0

    def answer(self, wire: bytes) -> bytes | None:
        """The response to one datagram."""
        query = dns.message.from_wire(wire)
        name = query.question[0].name
        self.queries.append(name.to_text())
        if self.deaf:
            return None
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.Rcode(self.rcode))
        if self.alias is not None:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", self.alias))
        if self.addresses and self.rcode == dns.rcode.NOERROR:
            response.answer.append(dns.rrset.from_text(self.alias or name, self.ttl, "IN", "A", *self.addresses))
        return response.to_wire()


@contextmanager
def serving(server: NameServer) -> Iterator[NameServer]:
    """Serve on a loopback port, from a thread."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        server.port = sock.getsockname()[1]

        def loop() -> None:
            while True:
                wire, peer = sock.recvfrom(4096)
                if wire == b"end":
                    return
                if (response := server.answer(wire)) is not None:
                    sock.sendto(response, peer)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield server
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"end", ("127.0.0.1", server.port))
            thread.join(30)


def name_of(server: NameServer, *, seed: int = 1) -> DnsName:
    """The name as the client asks for it."""
    return DnsName("stack.test", server=f"127.0.0.1:{server.port}", rng=random.Random(seed))


def picks(name: DnsName, count: int = 1) -> list[str]:
    """Addresses for some new connections."""

    async def ask() -> list[str]:
        return [await name.pick() for _ in range(count)]

    return asyncio.run(ask())


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers late on a busy machine is not asked twice, and who failed once is not asked again in a test."""
    for name, seconds in (("_ANSWER_WITHIN_S", 60.0), ("_ASK_AGAIN_S", 60.0), ("_RETRY_AFTER_S", 600.0)):
        monkeypatch.setattr(f"servedrill.load.resolver.{name}", seconds)


def test_every_address_gets_its_share() -> None:
    """One of the answer's addresses is picked for each connection, by the seed."""
    with serving(NameServer(["10.0.0.1", "10.0.0.2"], ttl=60)) as server:
        seen = picks(name_of(server), 400)
        assert picks(name_of(server), 400) == seen
    assert seen.count("10.0.0.1") == pytest.approx(200, abs=50)
    assert server.queries == ["stack.test."] * 2


def test_the_ttl_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its TTL an answer is used without asking; after it a new question brings the new address."""
    time_ns = 10 * NS
    monkeypatch.setattr("servedrill.load.resolver.now_ns", lambda: time_ns)
    with serving(NameServer(["10.0.0.1"], ttl=1)) as server:
        name = name_of(server)
        assert picks(name, 50) == ["10.0.0.1"] * 50
        server.addresses = ["10.0.0.2"]
        time_ns += NS - 1
        assert picks(name) == ["10.0.0.1"]
        time_ns += 1
        assert picks(name) == ["10.0.0.2"]
    assert len(server.queries) == 2


def test_a_ttl_of_nought_is_asked_each_time() -> None:
    """Nothing is kept that may not be kept."""
    with serving(NameServer(["10.0.0.1"], ttl=0)) as server:
        picks(name_of(server), 5)
    assert len(server.queries) == 5


def test_one_question_for_many_connections() -> None:
    """Connections that open together wait for one answer."""

    async def together(name: DnsName) -> list[str]:
        return await asyncio.gather(*(name.pick() for _ in range(50)))

    with serving(NameServer(["10.0.0.1"], ttl=60)) as server:
        assert asyncio.run(together(name_of(server))) == ["10.0.0.1"] * 50
    assert len(server.queries) == 1


def test_a_chain_of_names() -> None:
    """The addresses behind an alias are the name's."""
    with serving(NameServer(["10.0.0.1"], ttl=60, alias="gw.test.")) as server:
        assert picks(name_of(server)) == ["10.0.0.1"]


@pytest.mark.parametrize("trouble", ["deaf", "servfail", "empty", "gone"])
def test_the_last_answer_outlives_the_resolver(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that is deaf, broken, empty or gone is counted, and the last answer goes on being used."""
    server = NameServer(["10.0.0.1"], ttl=0)
    with serving(server):
        name = name_of(server)
        assert picks(name) == ["10.0.0.1"]
        if trouble == "deaf":
            server.deaf = True
            monkeypatch.setattr("servedrill.load.resolver._ANSWER_WITHIN_S", 0.2)
        server.rcode = dns.rcode.SERVFAIL if trouble == "servfail" else dns.rcode.NOERROR
        server.addresses = [] if trouble == "empty" else server.addresses
        if trouble != "gone":
            assert picks(name, 3) == ["10.0.0.1"] * 3
            assert name.failures == 1  # and not asked again for a moment
    if trouble == "gone":
        assert picks(name, 3) == ["10.0.0.1"] * 3
        assert name.failures == 1


def test_a_name_without_any_answer() -> None:
    """Nothing to connect to is an error of connecting."""
    with serving(NameServer([], ttl=1)) as server, pytest.raises(OSError, match="no address"):
        picks(name_of(server))


def test_a_lost_datagram_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question is repeated after a while, and the answer to it is as good as the first."""
    monkeypatch.setattr("servedrill.load.resolver._ASK_AGAIN_S", 0.4)

    class Forgetful(NameServer):
        def answer(self, wire: bytes) -> bytes | None:
            self.deaf = not self.queries
            return super().answer(wire)

    with serving(Forgetful(["10.0.0.1"], ttl=60)) as server:
        name = name_of(server)
        assert picks(name) == ["10.0.0.1"]
    assert name.failures == 0
    assert len(server.queries) >= 2


def test_a_worker_counts_what_the_resolver_missed(tmp_path: Path) -> None:
    """Failures of the resolver are in the status and in the history, and the load goes on."""
    history = tmp_path / "history.jsonl"
    with AnsweringServer() as stack, serving(NameServer(["127.0.0.1"], ttl=0)) as server:
        cls = one_class(arrivals=Constant(50), keep_alive=False)
        plan = plan_for(f"http://stack.test:{stack.port}", cls, resolver=f"127.0.0.1:{server.port}")
        with Load(plan, history) as load:
            load.start()
            wait_for(lambda: load.status().done > 0, what="an answer", within_s=30)
            server.rcode = dns.rcode.SERVFAIL
            wait_for(lambda: load.status().resolver_failures > 0, what="a failure of the resolver", within_s=30)
            last = load.stop(drain_s=5)
    seen = [event for event in read_events(history) if isinstance(event, Observed)]
    assert last.failed == {}
    assert [(event.name, event.value) for event in seen][-1] == ("load.resolver_failures", last.resolver_failures)


def test_load_follows_the_name() -> None:
    """Connections go to the addresses of the answer, and the record says which."""
    with AnsweringServer() as stack, serving(NameServer(["127.0.0.1"], ttl=60)) as server:
        cls = one_class(arrivals=Constant(50, count=4), keep_alive=False)
        plan = plan_for(f"http://stack.test:{stack.port}", cls, resolver=f"127.0.0.1:{server.port}")
        records, client = run_client(plan)
    assert [record.failure for record in records] == [None] * 4
    assert {record.attempts[0].address for record in records} == {f"127.0.0.1:{stack.port}"}
    assert stack.requests[0].headers["host"] == f"stack.test:{stack.port}"
    assert (client.addresses.failures, server.queries) == (0, ["stack.test."])
