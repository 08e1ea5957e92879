"""Connections: kept and reused, never waited for, and honest about the races of keep-alive."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import uvloop
from load_servers import (
    AnsweringServer,
    Peer,
    Request,
    Server,
    ask,
    one_class,
    plan_for,
    run,
    run_client,
    whole_answer,
)

from servedrill.host.clock import wait_for
from servedrill.load.arrivals import Burst, Constant, Users
from servedrill.load.protocol import Connection


def test_a_kept_connection_is_used_again() -> None:
    """Requests one after the other share one connection."""
    with AnsweringServer() as server:
        records, client = run_client(plan_for(server.url, one_class(arrivals=Users(1, count=5))))
    assert [record.failure for record in records] == [None] * 5
    assert (server.opened, client.pool.opened, client.pool.reused) == (1, 1, 4)


def test_without_keep_alive_every_request_has_its_own() -> None:
    """A class that keeps nothing alive says so and opens a connection a request."""
    with AnsweringServer() as server:
        run(plan_for(server.url, one_class(arrivals=Constant(50, count=3), keep_alive=False)))
    assert server.opened == 3
    assert server.requests[0].headers["connection"] == "close"


def test_nobody_waits_for_a_connection() -> None:
    """A burst opens as many connections as it has requests: a server that answers nobody before it has seen all of
    them has answered all."""
    everybody = asyncio.Event()

    async def answer_once_all_are_there(peer: Peer, request: Request, number: int) -> None:
        if number == 149:
            everybody.set()
        await everybody.wait()
        await peer.send(whole_answer(1))

    with Server(answer_once_all_are_there) as server:
        records = run(plan_for(server.url, one_class(arrivals=Burst(150))))
    assert server.opened == 150
    assert {record.failure for record in records} == {None}


def test_a_connection_that_the_server_closed_is_not_used() -> None:
    """A server that closes idle connections costs nobody a request, as the close is seen before the write."""

    async def answer_and_close(peer: Peer, request: Request, number: int) -> None:
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # the close comes with the answer
        await peer.send(whole_answer(1))

    with Server(answer_and_close) as server:
        records = run(plan_for(server.url, one_class(arrivals=Users(1, count=4))))
    assert [record.failure for record in records] == [None] * 4
    assert server.opened == 4


def test_a_close_that_the_loop_has_not_seen_yet() -> None:
    """Whether a connection is usable is asked of the kernel, so that a busy loop writes to no dead connection."""

    async def close_at_once(peer: Peer, request: Request, number: int) -> None:
        await peer.send(whole_answer(1))

    async def look() -> tuple[bool, bool]:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(loop), "127.0.0.1", server.port)
        before = connection.usable()
        server.hang_up()
        wait_for(
            lambda: server.closed == 1, what="the server to close", within_s=30
        )  # this loop stands still meanwhile
        after = connection.usable()
        connection.abort()
        return before, after

    with Server(close_at_once) as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(look()) == (True, False)


def test_a_close_after_the_write_is_what_the_user_sees() -> None:
    """A server that closes a kept connection when the next request is in is a failure, not a silent second try."""

    async def answer_once(peer: Peer, request: Request, number: int) -> bool:
        if number == 0:
            await peer.send(whole_answer(1))
        return number == 0

    with Server(answer_once) as server:
        records = run(plan_for(server.url, one_class(arrivals=Users(1, count=2))))
    assert [record.failure for record in records] == [None, "closed"]
    assert server.opened == 1


def test_connection_close_is_obeyed() -> None:
    """After Connection: close the next request goes elsewhere, even while the server lingers."""

    async def answer_last(peer: Peer, request: Request, number: int) -> bool:
        await peer.send(whole_answer(1).replace(b"Content-Type", b"Connection: close\r\nContent-Type"))
        return True

    with Server(answer_last) as server:
        records = run(plan_for(server.url, one_class(arrivals=Users(1, count=2))))
    assert [record.failure for record in records] == [None, None]
    assert server.opened == 2


def test_a_slow_reader_holds_its_server_up() -> None:
    """A client that reads slowly keeps the server from writing, and its tokens come late."""
    sent: list[int] = []

    async def flood(peer: Peer, request: Request, number: int) -> None:
        peer.writer.transport.set_write_buffer_limits(high=0)
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(1, 7, 4096)  # SO_SNDBUF: the server's own buffer is not what is looked at
        await peer.send(whole_answer(0)[:0] + b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            await peer.send(b": nothing to see\n\n" * 50)
            sent.append(900)

    with Server(flood) as server:
        record = ask(server, slow_reader_bytes_per_s=20_000.0, deadline_s=1.0)
    assert record.failure == "deadline"
    assert sum(sent) < 150_000


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key, made for this test."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command makes the certificate and is not installed")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost -keyout {key} -out {cert}".split(),
        check=True,
        capture_output=True,
    )
    return cert, key


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """The server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def test_tls_with_a_ca_of_ones_own(certificate: tuple[Path, Path]) -> None:
    """A stream over TLS is as whole as one without, and its connection is kept."""
    with AnsweringServer(tls=server_context(certificate)) as server:
        cls = one_class(arrivals=Users(1, count=3))  # each after the one before has its answer
        records = run(plan_for(server.url, cls, ca_file=str(certificate[0])))
    assert [record.failure for record in records] == [None] * 3
    assert server.opened == 1


def test_tls_of_somebody_else(certificate: tuple[Path, Path]) -> None:
    """A certificate that no CA vouches for is no connection."""
    with AnsweringServer(tls=server_context(certificate)) as server:
        (record,) = run(plan_for(server.url, one_class()))
    assert record.failure == "connect"
    assert not server.requests


def test_a_reset_over_tls(certificate: tuple[Path, Path]) -> None:
    """Failures have the same names over TLS."""

    async def cut(peer: Peer, request: Request, number: int) -> None:
        await peer.send(whole_answer(2)[:-30])
        await asyncio.sleep(0.05)
        if number:
            peer.reset()

    with Server(cut, tls=server_context(certificate)) as server:
        records = run(plan_for(server.url, one_class(arrivals=Users(1, count=2)), ca_file=str(certificate[0])))
    assert [record.failure for record in records] == ["cut", "reset"]
