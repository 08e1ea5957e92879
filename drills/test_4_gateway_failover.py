"""The front door: a gateway killed, one frozen, one that the name leaves out, and idle connections that are older than
their peer allows."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill import (
    AddressShareRestored,
    DnsChange,
    Drill,
    EveryRequestResolved,
    GoodputRecovers,
    NoFailures,
    NoStaleConnections,
    ProcessKill,
    ProcessPause,
    StreamsStream,
    TrafficShifts,
    Uniform,
    chat,
    front_door_lost,
    idle_sweep,
    served,
    slow_close,
)


@pytest.mark.drill_needs("Signallable", "Named", "Proxied")
@pytest.mark.drill_catches("G5", "G6", "G7", "G8", "G9", "G10")
def test_gateway_failover(drill: Drill) -> None:
    """When a gateway dies or freezes, its name leads elsewhere within TTL and check interval, open streams end, and it
    gets its share back; a name that changes is followed; idle connections never outlive their peer's patience."""
    stack, p = drill.stack, drill.promises
    (first, first_at), (second, second_at), *_ = stack.addresses().items()
    patience: dict[str, Any] = {"first_token_timeout_s": 2.0, "idle_timeout_s": 2.0, "keep_alive": False}
    noticed_s = p.dns_detect_s + p.dns_ttl_s + 0.4
    with drill.broken(*(slow_close(stack, engine, ms=200) for engine in drill.engines), window="sweep"):
        drill.send(*idle_sweep(around_s=p.engine_keep_alive_s))
    short: dict[str, Any] = {"prompt_words": Uniform(10, 30), "output_tokens": Uniform(2, 4), "prefix_words": 0}
    drill.load(
        chat(rate=30, output_tokens=Uniform(20, 36), **patience), chat(rate=24, name="short", **short, **patience)
    )
    drill.baseline(1.6)
    drill.break_for(p.dns_ttl_s + 0.8, DnsChange(stack, [second_at]), window="moved")
    drill.keep_open(name="open-kill", **patience)
    drill.break_for(noticed_s + 0.5, ProcessKill(stack, first), window="killed")
    drill.hold(0.7)
    drill.keep_open(name="open-freeze", **patience)
    drill.break_for(noticed_s + 0.5, ProcessPause(stack, second), window="frozen")
    drill.recover(2.8)

    drill.expect(
        served("baseline", "chat"),
        StreamsStream(window="baseline"),
        NoStaleConnections(window="sweep", classes=["sweep-fill", "sweep-reuse"]),
        NoFailures(window="moved"),
        TrafficShifts(fault="dns_change", gateway="dns", address=first_at, window="moved", within_s=p.dns_ttl_s + 0.3),
        front_door_lost(first, first_at, fault="process_kill", window="killed"),
        front_door_lost(second, second_at, fault="process_pause", window="frozen", ends_within_s=2.0 * p.pace + 0.5),
        TrafficShifts(fault="process_pause", gateway=second, address=second_at, window="frozen"),
        EveryRequestResolved(window="frozen"),
        (AddressShareRestored(address=at, window="recover", addresses=2) for at in (first_at, second_at)),
        GoodputRecovers(after="frozen"),
    )
