"""The front door: a gateway killed, one frozen, and idle connections that are older than their peer allows."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill.checkers.answered import EveryRequestResolved, NoFailures
from servedrill.checkers.failover import (
    AddressShareRestored,
    FailuresOnlyWhileDetecting,
    NoStaleConnections,
    OpenStreamsEnd,
    TrafficShifts,
)
from servedrill.checkers.recovery import GoodputRecovers, SloMet
from servedrill.drill.context import Drill
from servedrill.drill.traffic import chat, idle_sweep
from servedrill.faults.network import slow_close
from servedrill.faults.process import ProcessKill, ProcessPause
from servedrill.load.lengths import Uniform


@pytest.mark.needs("Signallable", "Named", "Proxied")
@pytest.mark.catches("G5", "G6", "G7", "G8", "G9", "G10")
def test_gateway_failover(drill: Drill) -> None:
    """When a gateway dies or freezes, its name leads elsewhere within TTL and check interval, open streams end, and it gets its share back;
    idle connections never outlive their peer's patience."""
    stack, p, model = drill.stack, drill.promises, drill.model
    addresses: dict[str, str] = stack.addresses()
    (first, first_at), (second, second_at), *_ = addresses.items()
    patience_s, shift_s = 2.0, p.dns_detect_s + p.dns_ttl_s + 0.4
    patience: dict[str, Any] = {"first_token_timeout_s": patience_s, "idle_timeout_s": patience_s}
    with drill.broken(*(slow_close(stack, engine, ms=200) for engine in drill.names("engine")), window="sweep"):
        drill.load(*idle_sweep(around_s=p.engine_keep_alive_s, model=model)).wait(within_s=15)
    drill.load(chat(rate=30, model=model, keep_alive=False, output_tokens=Uniform(20, 36), **patience))
    drill.baseline(1.6)
    drill.keep_open(name="open-kill", keep_alive=False, **patience)
    with drill.broken(ProcessKill(stack, first), window="killed"):
        drill.hold(shift_s + 1.0)
    drill.hold(0.7)
    drill.keep_open(name="open-freeze", keep_alive=False, **patience)
    with drill.broken(ProcessPause(stack, second), window="frozen"):
        drill.hold(shift_s + 1.0)
    drill.recover(2.8)

    drill.expect(
        NoFailures(window="baseline"),
        SloMet(window="baseline", classes=["chat"]),
        NoStaleConnections(window="sweep", classes=["sweep-fill", "sweep-reuse"]),
        FailuresOnlyWhileDetecting(fault="process_kill", gateway=first, window="killed", within_s=shift_s),
        OpenStreamsEnd(fault="process_kill", gateway=first, address=first_at, within_s=p.idle_timeout_s),
        TrafficShifts(fault="process_pause", gateway=second, address=second_at, window="frozen", within_s=shift_s),
        FailuresOnlyWhileDetecting(fault="process_pause", gateway=second, window="frozen", within_s=shift_s),
        OpenStreamsEnd(fault="process_pause", gateway=second, address=second_at, within_s=patience_s * p.pace + 0.5),
        EveryRequestResolved(window="frozen"),
        *(
            AddressShareRestored(address=at, window="recover", addresses=len(addresses), last_s=2.0 * p.pace)
            for at in (first_at, second_at)
        ),
        GoodputRecovers(after="frozen", within_s=p.recovers_within_s, bucket_s=0.5 * p.pace),
    )
