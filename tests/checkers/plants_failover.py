"""Planted bugs for the checkers of `servedrill.checkers.failover`."""

from __future__ import annotations

from made_up import PHASES, Events, Plant, answered, at, changed, cut, fault, history, many, refused, tried, tries

from servedrill.checkers import failover as c

KILL = fault("process_kill", "gateway-0")
DEAD = "127.0.0.10"
AWAY = many(20, 4, 8, via="gateway-1")


def until(t: float, end: float) -> Events:
    """A stream through the gateway that dies, from one instant to the other."""
    record = cut(t)
    return [changed(record, attempts=[changed(record.attempts[0], t_end_ns=at(end))])]


SHIFT = {"fault": "process_kill", "gateway": "gateway-0", "within_s": 1.0}
CALLS = [event for index in range(40) for event in tries(f"run-{index}", 4 + index / 10, 200)]

PLANTS = [
    Plant(
        checker=c.TrafficShifts(address=DEAD, window="inject", **SHIFT),
        clean={
            "all-away": history(*PHASES, *KILL, *AWAY),
            "some-while-nobody-knew": history(*PHASES, *KILL, *AWAY, answered(4.5)),
            "control": history(*PHASES, control=True),
        },
        bugs={"still-sent-there": history(*PHASES, *KILL, *AWAY, answered(7))},
        too_little={
            "no-fault": history(*PHASES, *AWAY),
            "few-tries": history(*PHASES, *KILL, *AWAY[:8]),
            "another-gateway's": history(*PHASES, *fault("process_kill", "gateway-1"), *AWAY),
        },
    ),
    Plant(
        checker=c.OpenStreamsEnd(**SHIFT),
        clean={
            "ended": history(*PHASES, *KILL, *until(3.5, 4.2), *until(3.9, 4.9)),
            "control": history(*PHASES, control=True),
        },
        bugs={"one-stayed-silent": history(*PHASES, *KILL, *until(3.5, 4.2), *until(3.9, 8))},
        too_little={
            "none-was-open": history(*PHASES, *KILL, *until(3, 3.5)),
            "no-fault": history(*PHASES, *until(3.5, 8)),
        },
    ),
    Plant(
        checker=c.FailuresOnlyWhileDetecting(window="inject", **SHIFT),
        clean={
            "none": history(*PHASES, *KILL, *AWAY),
            "while-nobody-knew": history(*PHASES, *KILL, *AWAY, refused(4.5)),
            "control": history(*PHASES, *AWAY, control=True),
        },
        bugs={
            "later": history(*PHASES, *KILL, *AWAY, refused(6)),
            "in-control": history(*PHASES, *AWAY, refused(6), control=True),
        },
        too_little={"no-fault": history(*PHASES, *AWAY), "few": history(*PHASES, *KILL, *many(10, 4, 8))},
    ),
    Plant(
        checker=c.AddressShareRestored(address=DEAD, window="recover", addresses=2),
        clean={"half": history(*PHASES, *many(30, 9, 12), *many(30, 9, 12, via="gateway-1"))},
        bugs={
            "none": history(*PHASES, *many(60, 9, 12, via="gateway-1")),
            "too-few": history(*PHASES, *many(6, 9, 12), *many(54, 9, 12, via="gateway-1")),
            "only-at-first": history(*PHASES, *many(30, 8, 10), *many(30, 10, 12, via="gateway-1")),
        },
        too_little={"few-tries": history(*PHASES, *many(15, 10, 12)), "none": history(*PHASES)},
    ),
    Plant(
        checker=c.NoStaleConnections(window="inject", classes=["chat"]),
        clean={
            "each-answered": history(*PHASES, *CALLS, *many(10, 4, 8)),
            "others-failed": history(*PHASES, *CALLS, refused(5, cls="other")),
        },
        bugs={
            "met-a-closed-one": history(*PHASES, *CALLS, tried("run-99", "engine-0", 5, status=None)),
            "users-noticed": history(*PHASES, *CALLS, refused(5)),
        },
        too_little={"few": history(*PHASES, *CALLS[:20]), "no-tap": history(*PHASES, *many(40, 4, 8))},
    ),
]
