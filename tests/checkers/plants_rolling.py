"""Planted bugs for the checkers of `servedrill.checkers.rolling`."""

from __future__ import annotations

from made_up import ENGINES, GATEWAYS, PHASES, Events, Plant, answered, at, changed, cut, fault, history, many, sampled
from made_up import seen as looks

from servedrill.checkers import rolling as c

TERM = fault("process_restart", "gateway-0")
LEFT = "127.0.0.10"
AWAY = many(20, 4, 8, via="gateway-1")
OPEN = [answered(3.9, tokens=6, gap_s=0.2) for _ in range(4)]
CAME = many(6, 4, 5)
LEAVES = {"gateway": "gateway-0", "address": LEFT}


def broke(t: float, end: float) -> Events:
    """A stream through the gateway that is told to end, from one instant to the other, that was cut."""
    record = cut(t)
    return [changed(record, attempts=[changed(record.attempts[0], t_end_ns=at(end), error="reset")])]


def ended(after_s: float | None) -> Events:
    """The gateway's process, gone so long after it was told; None: it never went."""
    if after_s is None:
        return looks("gateway-0", every_s=0.1)
    gone = looks("gateway-0", 4 + after_s, 5 + after_s, every_s=0.1, pid=None, children=())
    return [*looks("gateway-0", 0, 4 + after_s, every_s=0.1), *gone, *looks("gateway-0", 5 + after_s, 12, pid=200)]


def away(name: str, start: float, end: float) -> Events:
    """A replica that is not well for a while."""
    return [
        *sampled(name, 0, start, every_s=0.2),
        *sampled(name, start, end, every_s=0.2, health=503),
        *sampled(name, end, 12, every_s=0.2),
    ]


def turns(**absences: tuple[float, float]) -> Events:
    """Every replica, well but for these spans."""
    spans = {name.replace("_", "-"): span for name, span in absences.items()}
    return [
        event
        for name in (*ENGINES, *GATEWAYS)
        for event in (away(name, *spans[name]) if name in spans else sampled(name, every_s=0.2))
    ]


PLANTS = [
    Plant(
        checker=c.OpenAnswersFinish(**LEAVES, grace_s=3.0),
        clean={
            "finished": history(*PHASES, *TERM, *OPEN),
            "cut-after-the-grace-period": history(*PHASES, *TERM, *OPEN, *broke(3, 7.2)),
            "cut-elsewhere": history(*PHASES, *TERM, *OPEN, cut(3.9, via="gateway-1")),
            "control": history(*PHASES, control=True),
        },
        bugs={
            "one-cut": history(*PHASES, *TERM, *OPEN, *broke(3, 5)),
            "cut-and-nothing-else": history(*PHASES, *TERM, *broke(3.9, 4.1)),
        },
        too_little={
            "none-open": history(*PHASES, *TERM, *many(9, 0, 3)),
            "no-fault": history(*PHASES, *broke(3, 5)),
            "another-gateways": history(*PHASES, *fault("process_restart", "gateway-1"), *OPEN),
        },
    ),
    Plant(
        checker=c.ServedUntilWithdrawn(**LEAVES, grace_s=2.0),
        clean={
            "served": history(*PHASES, *TERM, *CAME, *AWAY),
            "lost-elsewhere": history(*PHASES, *TERM, *CAME, cut(5, via="gateway-1")),
            "lost-before": history(*PHASES, *TERM, *CAME, *broke(3, 3.5)),
            "cut-after-the-grace-period": history(*PHASES, *TERM, *CAME, *broke(5, 6.1)),
            "control": history(*PHASES, control=True),
        },
        bugs={
            "one-lost": history(*PHASES, *TERM, *CAME, *broke(5, 5.1)),
            "after-the-grace-period": history(*PHASES, *TERM, *CAME, *broke(6.5, 6.6)),
        },
        too_little={"none-came": history(*PHASES, *TERM, *AWAY), "no-fault": history(*PHASES, *CAME)},
    ),
    Plant(
        checker=c.WithdrawnInTime(**LEAVES, classes=["chat"], within_s=1.0),
        clean={
            "withdrawn": history(*PHASES, *TERM, *ended(3), *AWAY, *many(3, 4, 5)),
            "when-it-is-back": history(*PHASES, *TERM, *ended(2), *AWAY, *many(9, 7, 8)),
            "others-keep-connections": history(*PHASES, *TERM, *ended(3), *AWAY, answered(6, cls="kept")),
            "control": history(*PHASES, control=True),
        },
        bugs={"still-sent-there": history(*PHASES, *TERM, *ended(3), *AWAY, answered(6))},
        too_little={
            "no-fault": history(*PHASES, *ended(3), *AWAY),
            "gone-too-soon": history(*PHASES, *TERM, *ended(1.1), *AWAY),
        },
    ),
    Plant(
        checker=c.EndsInTime(replica="gateway-0", within_s=3.0),
        clean={"ended": history(*PHASES, *TERM, *ended(2)), "control": history(*PHASES, control=True)},
        bugs={"late": history(*PHASES, *TERM, *ended(3.5)), "never": history(*PHASES, *TERM, *ended(None))},
        too_little={
            "no-fault": history(*PHASES, *ended(2)),
            "not-seen": history(*PHASES, *TERM),
            "not-seen-for-long": history(*PHASES, *TERM, *looks("gateway-0", 0, 5)),
        },
    ),
    Plant(
        checker=c.AllButOneServe(window="inject"),
        clean={
            "one-after-another": history(*PHASES, *turns(gateway_0=(4, 5), engine_0=(5.2, 7))),
            "one-of-each": history(*PHASES, *turns(gateway_0=(4, 6), engine_0=(5, 7))),
            "one-bad-look": history(*PHASES, *turns(engine_1=(5, 5.2), engine_0=(4.6, 7))),
            "control": history(*PHASES, *turns(), control=True),
        },
        bugs={
            "two-engines": history(*PHASES, *turns(engine_1=(5, 6), engine_0=(4.6, 7))),
            "both-gateways": history(*PHASES, *turns(gateway_1=(5, 6), gateway_0=(5.5, 7))),
        },
        too_little={"nobody-was": history(*PHASES, *turns()), "not-seen": history(*PHASES)},
    ),
]
