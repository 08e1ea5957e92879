"""A fault for every toxic; each is proven by its own effect and not by a connection that passed through it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hop_world import EVENTS, Hop, hop_of_ours

from servedrill.errors import FaultError, NotInTime, UsageError
from servedrill.faults import network, streams
from servedrill.faults.toxic import EFFECTS, Toxic, server_at
from servedrill.host.clock import wait_for
from servedrill.leases.undo import HttpCall
from tests.worlds.hostile import BODIES, HEADS, hostile

Make = Callable[[Any], Toxic]


@pytest.fixture(scope="module")
def hop() -> Iterator[Hop]:
    with hop_of_ours() as hop:
        yield hop


def on_hop(make: Callable[..., Toxic], **how: Any) -> Make:
    return lambda stack: make(stack, "hop", **how)


# Name -> the fault as it bites on the traffic below, the same where it has nothing to do there, and the effect.
FAULTS: dict[str, tuple[Make, Make | None, str]] = {
    "latency": (on_hop(network.latency, ms=20, jitter_ms=5), None, "chunks_delayed"),
    "bandwidth": (on_hop(network.bandwidth, kb_per_s=3), on_hop(network.bandwidth, kb_per_s=10**6), "chunks_delayed"),
    "slow_close": (on_hop(network.slow_close, ms=20), None, "closes_delayed"),
    "black_hole": (on_hop(network.black_hole), None, "bytes_dropped"),
    "silence_then_close": (
        on_hop(network.silence_then_close, after_ms=50),
        on_hop(network.silence_then_close, after_ms=60_000),
        "connections_closed",
    ),
    "connection_reset": (
        on_hop(network.connection_reset),
        on_hop(network.connection_reset, after_ms=60_000),
        "connections_reset",
    ),
    "slicer": (on_hop(network.slicer, average_bytes=30), on_hop(network.slicer, average_bytes=10**6), "chunks_cut"),
    "limit_data": (
        on_hop(network.limit_data, bytes_max=300),
        on_hop(network.limit_data, bytes_max=10**6),
        "connections_closed",
    ),
    "http_status": (
        on_hop(streams.http_status, status=418, probability=1.0, message="no"),
        on_hop(streams.http_status, status=418, path="/elsewhere"),
        "answers_made",
    ),
    "rate_limited": (on_hop(streams.rate_limited, retry_after_s=0.5), None, "answers_made"),
    "unavailable": (on_hop(streams.unavailable, fail_times=1), None, "answers_made"),
    "internal_error": (
        on_hop(streams.internal_error),
        on_hop(streams.internal_error, probability=0.0),
        "answers_made",
    ),
    "delay_headers": (on_hop(streams.delay_headers, ms=20), None, "heads_delayed"),
    "delay_first_token": (on_hop(streams.delay_first_token, ms=20), None, "events_delayed"),
    "token_rate": (
        on_hop(streams.token_rate, tokens_per_s=60),
        on_hop(streams.token_rate, tokens_per_s=10**5),
        "events_delayed",
    ),
    "stall_stream": (
        on_hop(streams.stall_stream, after_events=2, ms=30),
        on_hop(streams.stall_stream, after_events=99),
        "streams_stalled",
    ),
    "cut_stream": (
        on_hop(streams.cut_stream, after_events=2),
        on_hop(streams.cut_stream, after_events=99),
        "streams_cut",
    ),
    "cut_stream by bytes, with RST": (
        on_hop(streams.cut_stream, after_bytes=50, reset=True),
        on_hop(streams.cut_stream, after_bytes=10**6, reset=True),
        "streams_cut",
    ),
    "drop_done": (on_hop(streams.drop_done), None, "events_dropped"),
    "idle_close": (
        on_hop(streams.idle_close, after_ms=30),
        on_hop(streams.idle_close, after_ms=60_000),
        "connections_closed",
    ),
    "idle_close with RST": (
        on_hop(streams.idle_close, after_ms=30, reset=True),
        on_hop(streams.idle_close, after_ms=60_000, reset=True),
        "connections_reset",
    ),
    "drop_event": (on_hop(streams.drop_event, nth=2), on_hop(streams.drop_event, nth=99), "events_dropped"),
    "repeat_event": (on_hop(streams.repeat_event, nth=2), on_hop(streams.repeat_event, nth=99), "events_repeated"),
    "corrupt_event": (on_hop(streams.corrupt_event, nth=2), on_hop(streams.corrupt_event, nth=99), "events_changed"),
    "error_event": (
        on_hop(streams.error_event, after_events=2),
        on_hop(streams.error_event, after_events=99),
        "events_added",
    ),
    "swap_model": (on_hop(streams.swap_model, model="m2"), on_hop(streams.swap_model, model="m1"), "events_changed"),
}


SWALLOWING = {"black_hole", "silence_then_close", "connection_reset"}
"""Faults whose traffic waits in vain; whoever uses any other hop is patient, however busy the machine is."""


def use(hop: Hop, *, patience_s: float = 10.0, seen: Callable[[], bool] | None = None) -> bytes:
    """A stream, and one that the server closes behind; a connection that is kept until the effect is seen, or for
    80 ms after its answer."""
    with hop.connect(patience_s=patience_s) as kept:
        data = hop.ask("/v1/stream", sock=kept)
        data += hop.ask("/v1/close", patience_s=patience_s)
        if seen is not None:
            with contextlib.suppress(NotInTime):
                wait_for(seen, what="the effect", within_s=30)
        else:
            kept.settimeout(0.08)
            with contextlib.suppress(OSError):
                kept.recv(1)
        return data


def patience_s(name: str) -> float:
    return 0.4 if name in SWALLOWING else 10.0


def pass_through(hop: Hop) -> None:
    """A connection without a stream, still open when it has its answer."""
    with hop.connect(patience_s=5) as kept:
        assert hop.ask("/health", sock=kept)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_proven_by_its_effect_and_heals(hop: Hop, name: str) -> None:
    """The counter of that very effect moved; after the heal a stream is whole again, however often it is healed."""
    make, _, effect = FAULTS[name]
    fault = make(hop)
    (undo,) = fault.undo()
    assert isinstance(undo, HttpCall)
    fault.inject()
    use(hop, patience_s=patience_s(name), seen=lambda: fault.evidence().proven)
    evidence = fault.evidence()
    assert evidence.proven, evidence.observed
    assert evidence.figures[effect] > 0
    assert f"{effect.replace('_', ' ')}: {evidence.figures[effect]:.0f}" in evidence.observed
    assert fault.heal().proven
    assert use(hop).count(b"data: ") == 2 * (len(EVENTS) + 1)
    undo.carry_out()
    assert fault.heal().proven


IDLE = {name: idle for name, (_, idle, _) in FAULTS.items() if idle is not None}


@pytest.mark.parametrize("name", IDLE)
def test_a_fault_whose_effect_never_came_is_not_proven(hop: Hop, name: str) -> None:
    """Traffic passed through it all the time; what it says it does, it did not do."""
    fault = IDLE[name](hop)
    fault.inject()
    use(hop, patience_s=patience_s(name))
    evidence = fault.evidence()
    assert fault.heal().proven
    assert not evidence.proven, evidence.observed
    assert evidence.figures["links_drawn"] > 0


STREAMS = sorted({name for name in FAULTS if name in ("drop_done", "delay_first_token", "cut_stream", "swap_model")})


@pytest.mark.parametrize("name", STREAMS)
def test_a_connection_without_a_stream_proves_no_fault_of_streams(hop: Hop, name: str) -> None:
    """It passed, and was answered; no event of it could be cut, delayed or changed."""
    fault = FAULTS[name][0](hop)
    fault.inject()
    pass_through(hop)
    evidence = fault.evidence()
    assert fault.heal().proven
    assert (evidence.proven, evidence.figures["links_hit"]) == (False, 0), evidence.observed
    assert evidence.figures["links_drawn"] > 0


def test_every_toxic_but_the_control_has_a_fault(hop: Hop) -> None:
    """And every fault is tested here."""
    kinds = {make(hop).name for make, _, _ in FAULTS.values()}
    assert kinds == set(EFFECTS) == server_at(hop.api).toxics - {"noop"}
    functions = {
        name
        for module in (network, streams)
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", "").startswith("servedrill.faults.")
        and getattr(thing, "__annotations__", {}).get("return") == "Toxic"
    }  # fmt: skip
    assert {name.split()[0] for name in FAULTS} == functions


def test_the_control_toxic_is_never_proven(hop: Hop) -> None:
    """It has no effect, so nothing can prove it."""
    fault = Toxic(hop, "hop", "noop")
    fault.inject()
    use(hop)
    evidence = fault.evidence()
    assert fault.heal().proven
    assert (evidence.proven, "no effect to be proven" in evidence.observed) == (False, True)


def test_evidence_outlives_the_toxic(hop: Hop) -> None:
    """What it did is still known after the watchdog took it away, and that it went early is said."""
    fault = network.latency(hop, "hop", ms=1)
    fault.inject()
    use(hop)
    for undo in fault.undo():
        undo.carry_out()
    evidence = fault.evidence()
    assert evidence.proven
    assert "taken away early, by request" in evidence.observed
    assert fault.heal().proven


def test_the_way_up_and_a_share_of_connections_can_be_asked_for(hop: Hop) -> None:
    """Toxicity 0 draws no connection, and that is not proven."""
    late = network.latency(hop, "hop", ms=30, stream="upstream")
    never = network.latency(hop, "hop", ms=30, toxicity=0.0)
    late.inject()
    never.inject()
    use(hop)
    assert (late.evidence().proven, never.evidence().proven) == (True, False)
    assert late.heal().proven
    assert never.heal().proven


def test_a_hop_that_is_down_is_proven_by_an_attempt_to_connect(hop: Hop) -> None:
    """Before, during and after: not the server's word but a connection that is made or refused."""
    fault = network.Down(hop, "hop")
    assert not fault.evidence().proven
    fault.inject()
    assert fault.evidence().proven
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(hop.address, timeout=1)
    assert fault.heal().proven
    assert not fault.evidence().proven
    assert fault.heal().proven


# ---- what cannot be injected


@pytest.mark.parametrize(
    "make",
    [
        lambda stack: network.latency(stack, "nowhere", ms=1),
        lambda stack: streams.drop_done(stack, "nowhere"),
        lambda stack: network.Down(stack, "nowhere"),
    ],
)
def test_a_hop_without_a_proxy_is_named_with_those_that_have_one(hop: Hop, make: Any) -> None:
    """Before anything is injected."""
    with pytest.raises(
        UsageError, match=r"on nowhere: no proxy at hop 'nowhere'; expected one of hop; hint: the `proxy` table"
    ):
        make(hop)


def test_an_unknown_toxic_is_named_with_those_that_the_server_knows(hop: Hop) -> None:
    """Before anything is broken."""
    with pytest.raises(
        UsageError, match=r"servedrill's own.* has no toxic 'no_such'; expected one of bandwidth, corrupt"
    ):
        Toxic(hop, "hop", "no_such")


def test_a_value_that_the_proxy_refuses_is_told(hop: Hop) -> None:
    """In the proxy's own words."""
    with pytest.raises(FaultError, match=r"refused http_status on hop.*status has to be between 200 and 599"):
        Toxic(hop, "hop", "http_status", stream="upstream", status=99).inject()


def test_a_proxy_that_is_not_there_is_told(hop: Hop) -> None:
    """By its address."""
    with pytest.raises(FaultError, match=r"no fault proxy answers at 127\.0\.0\.1:1"):
        network.latency(Hop("127.0.0.1:1", hop.address), "hop", ms=1)


@pytest.mark.parametrize(
    "make",
    [
        on_hop(network.latency, ms=0),
        on_hop(network.slow_close, ms=0),
        on_hop(network.slicer, average_bytes=0),
        on_hop(streams.token_rate, tokens_per_s=0),
        on_hop(streams.drop_event, nth=0),
        on_hop(streams.idle_close, after_ms=0),
        on_hop(streams.cut_stream, after_events=1, after_bytes=1),
    ],
)
def test_a_fault_of_nothing_is_refused(hop: Hop, make: Make) -> None:
    """It would be in place and never do anything."""
    with pytest.raises(UsageError, match="expected"):
        make(hop)


def test_evidence_of_a_toxic_that_never_was_is_none(hop: Hop) -> None:
    """The proxy is asked, and knows nothing."""
    fault = network.latency(hop, "hop", ms=1)
    evidence = fault.evidence()
    assert (evidence.proven, "knows nothing" in evidence.observed) == (False, True)


def test_a_stall_without_end_holds_until_healed(hop: Hop) -> None:
    """What was held comes with the heal: a stall loses nothing."""
    fault = streams.stall_stream(hop, "hop", after_events=2)
    fault.inject()
    with hop.connect() as user:
        came = hop.ask("/v1/stream", sock=user)
        wait_for(lambda: fault.evidence().proven, what="the stall", within_s=30)
        came += hop.read(user)
        assert came.count(b"data: ") == 2
        assert fault.heal().proven
        came += hop.read(user, patience_s=30)
        assert came.count(b"data: ") == len(EVENTS) + 1


@pytest.mark.parametrize("mode", ["a head that drips", "200 MB", "gzip bomb", "too deep", "a list", "noise", "br"])
def test_a_fault_proxy_that_makes_no_sense_is_an_error_of_a_fault(mode: str) -> None:
    """Somebody's server may be anything; what it says is bounded as what a stack says."""
    with hostile({"any": {**HEADS, **BODIES}[mode]}) as url:
        with pytest.raises(FaultError, match="no fault proxy answers at"):
            server_at(url.removeprefix("http://"))
