"""A deploy: every engine and every gateway is told to end and replaced, one after another, under load."""

from __future__ import annotations

import pytest

from servedrill import (
    AddressShareRestored,
    AllButOneServe,
    Constant,
    DrainLosesNothing,
    Drill,
    EndsInTime,
    NoFailures,
    ProcessRestart,
    Settled,
    StallBounded,
    StreamsStream,
    WithdrawnInTime,
    burst,
    chat,
    good_again,
    leaves_nobody,
    served,
)


@pytest.mark.drill_needs("Signallable", "Supervised", "Named", "Proxied")
@pytest.mark.drill_catches("R3", "R8", "R9", "G7", "T9")
def test_rolling_deploy(drill: Drill) -> None:
    """All engines and gateways are replaced while users are being answered, and nobody fails: who is told to end
    finishes what is open, serves who still comes, gets nothing new, and ends, even with one answer that never would."""
    stack, engines, addresses = drill.stack, drill.engines, drill.stack.addresses()
    last, last_at = list(addresses.items())[-1]
    drill.load(chat(rate=32, arrivals=Constant(rate=32), keep_alive=False), chat(rate=6, name="chat-kept"))
    drill.baseline(1.8)
    with drill.window("deploy"):
        for replica in (*addresses, *engines):
            if replica == last and not drill.control:
                drill.load(burst(2, over_s=0.01, name="endless", output_tokens=drill.promises.max_tokens_cap), to=last)
                drill.keep_open(name="open")
            drill.break_for(0.5, ProcessRestart(stack, replica), window=replica)
            drill.settle()
    drill.recover(2.2)

    users = ["chat", "chat-kept", "open"]
    drill.expect(
        served("baseline", "chat", requests_min=5),
        StreamsStream(window="baseline"),
        NoFailures(window="deploy", classes=users),
        StallBounded(window="deploy", classes=users),
        AllButOneServe(window="deploy"),
        (DrainLosesNothing(replica=engine) for engine in engines),
        (EndsInTime(replica=engine) for engine in engines),
        *(leaves_nobody(gateway, address) for gateway, address in addresses.items()),
        WithdrawnInTime(gateway=last, address=last_at, classes=["chat"]),
        WithdrawnInTime(gateway=last, address=last_at, classes=["chat-kept"], stray_max=3),
        Settled(settles_min=len(engines) + len(addresses)),
        good_again("chat", after=engines[-1]),
        (AddressShareRestored(address=at, window="recover", addresses=len(addresses)) for at in addresses.values()),
    )
