"""Planted bugs for the checkers of `servedrill.checkers.conservation`."""

from __future__ import annotations

from itertools import product

from made_up import (
    ENGINES,
    GATEWAYS,
    Events,
    Plant,
    answered,
    at_rest,
    cancelled,
    changed,
    history,
    many,
    sampled,
    seen,
    windows,
)

from servedrill.checkers import conservation as c
from servedrill.history.history import History

QUIET = windows(idle=(0, 4), storm=(4, 8), quiet=(8, 12))
REST = at_rest()
LONG_ANSWERS = [answered(7, tokens=100, gap_s=0.06) for _ in range(2)]


def resting_but(source: str, events: Events) -> History:
    """Everything at rest, but one replica as told."""
    others = [event for name in (*ENGINES, *GATEWAYS) if name != source for event in sampled(name)]
    return history(*QUIET, *others, *events)


def generating(source: str, *counts: float) -> Events:
    """Samples a second apart from 8 s on, with these token counts."""
    return [
        sample
        for index, count in enumerate(counts)
        for sample in sampled(source, 8 + index, 9 + index, every_s=1, values={"generated_tokens": count})
    ]


def storm(each: int) -> Events:
    """``each`` cancels of every kind, half of them before a token."""
    return [
        cancelled(4 + index / 10, cls="storm", route=route, stream=stream, n=n, kept=index % 2 * 3)
        for route, stream, n in product(("chat", "completions"), (True, False), (1, 3))
        for index in range(each)
    ]


def wasting(generated: float, also: Events | None = None) -> History:
    """Ten cancels of three tokens each, 20 ms apart, and what the engines generated in that time."""
    before = [sample for name in ENGINES for sample in sampled(name, 0, 8)]
    after = [
        sample for name in ENGINES for sample in sampled(name, 8, 12, values={"generated_tokens": 100 + generated / 3})
    ]
    return history(*QUIET, *before, *after, *many(10, 4, 8, cancelled, cls="storm"), *(also or []))


def hung_up_after_a_second(count: int) -> Events:
    """Clients that waited for whole answers: for about 48 tokens at the pace of the streams."""
    return many(count, 4, 7, cancelled, cls="storm", stream=False, after_s=1.0, max_tokens=600)


def sockets(more: int) -> History:
    """Processes with ten sockets, one of which ends with more."""
    calm = [event for name in (*ENGINES, *GATEWAYS[1:]) for event in seen(name)]
    return history(*QUIET, *calm, *seen("gateway-0", 0, 8), *seen("gateway-0", 8, 12, sockets=10 + more))


def without(word: str, samples: Events) -> Events:
    """The samples as a replica gives them that does not know the word."""
    return [
        changed(sample, values={key: value for key, value in sample.values.items() if key.partition("/")[0] != word})
        for sample in samples
    ]


PLANTS = [
    Plant(
        checker=c.NothingLeft(window="quiet"),
        clean={
            "all-zero": history(*QUIET, *REST),
            "no-gateway-in-it": history(*QUIET, *(event for name in ENGINES for event in sampled(name))),
            "busy-at-first": resting_but(
                "engine-1",
                [*sampled("engine-1", 0, 8.6, values={"running": 3, "kv_usage": 0.2}), *sampled("engine-1", 9.1, 12)],
            ),
        },
        bugs={
            "blocks": resting_but("engine-1", sampled("engine-1", values={"kv_usage": 0.01})),
            "running": resting_but("engine-2", sampled("engine-2", values={"running": 1})),
            "waiting": resting_but("engine-2", sampled("engine-2", values={"waiting": 1})),
            "gateway-in-flight": resting_but("gateway-0", sampled("gateway-0", values={"in_flight": 2})),
            "gateway-queue": resting_but("gateway-1", sampled("gateway-1", values={"queue": 2})),
            "upstream-in-flight": resting_but(
                "gateway-0", sampled("gateway-0", values={"upstream_in_flight/engine-1": 1})
            ),
            "below-zero": resting_but("gateway-0", sampled("gateway-0", values={"in_flight": -1})),
        },
        too_little={
            "one-late-sample": resting_but("engine-1", sampled("engine-1", 0, 9.5)),
            "no-answer": resting_but(
                "engine-1", [*sampled("engine-1", 0, 8), *sampled("engine-1", 8, 12, health=None)]
            ),
            "no-blocks-told": resting_but("engine-1", without("kv_usage", sampled("engine-1"))),
            "no-upstreams-told": resting_but("gateway-1", without("upstream_in_flight", sampled("gateway-1"))),
            "nobody-was-scraped": history(*QUIET),
        },
    ),
    Plant(
        checker=c.NothingHeld(),
        clean={
            "all-given-back": history(*QUIET, *REST, *many(10, 4, 8)),
            "busy-till-the-last-request": resting_but(
                "engine-1",
                [
                    *sampled("engine-1", 0, 8, values={"running": 3, "kv_usage": 0.2}),
                    *sampled("engine-1", 9, 12),
                    *many(10, 4, 8),
                ],
            ),
        },
        bugs={
            "a-block": resting_but("engine-1", [*sampled("engine-1", values={"kv_usage": 0.01}), *many(10, 4, 8)]),
            "a-slot": resting_but("gateway-0", [*sampled("gateway-0", values={"in_flight": 1}), *many(10, 4, 8)]),
            "below-zero": resting_but("gateway-1", [*sampled("gateway-1", values={"queue": -1}), *many(10, 4, 8)]),
        },
        too_little={
            "no-requests": history(*QUIET, *REST),
            "no-blocks-told": resting_but("engine-1", [*without("kv_usage", sampled("engine-1")), *many(10, 4, 8)]),
            "one-that-no-longer-answers": resting_but(
                "engine-1", [*sampled("engine-1", 0, 8), *sampled("engine-1", 8, 12, health=None), *many(10, 4, 8)]
            ),
            "not-scraped-afterwards": history(*QUIET, *sampled("engine-0", 0, 5), *many(10, 4, 8)),
        },
    ),
    Plant(
        checker=c.InFlightTrue(window="quiet"),
        clean={
            "at-rest": history(*QUIET, *REST),
            "as-many-as-there-are": resting_but(
                "gateway-0", sampled("gateway-0", values={"in_flight": 2}) + LONG_ANSWERS
            ),
            "too-many-for-a-moment": resting_but(
                "gateway-0", [*sampled("gateway-0", 0, 10, values={"in_flight": 3}), *sampled("gateway-0", 10, 12)]
            ),
        },
        bugs={
            "one-lost": resting_but("gateway-0", sampled("gateway-0", values={"in_flight": 1})),
            "one-lost-under-traffic": resting_but(
                "gateway-0", sampled("gateway-0", values={"in_flight": 3}) + LONG_ANSWERS
            ),
        },
        too_little={
            "not-told": resting_but("gateway-1", without("in_flight", sampled("gateway-1"))),
            "two-readings": history(*QUIET, *sampled("gateway-0", 0, 9), *sampled("gateway-1", 0, 9)),
            "no-gateway": history(*QUIET, *(event for name in ENGINES for event in sampled(name))),
        },
    ),
    Plant(
        checker=c.GenerationStops(window="quiet"),
        clean={
            "stands-still": history(*QUIET, *REST),
            "a-last-token": resting_but("engine-0", generating("engine-0", 90, 100, 100, 100)),
        },
        bugs={
            "goes-on": resting_but("engine-0", generating("engine-0", 90, 100, 101, 102)),
            "hidden-by-a-restart": history(
                *QUIET,
                *sampled("engine-2"),
                *generating("engine-0", 100, 100, 120, 140),
                *generating("engine-1", 100, 140, 100, 100),
            ),
        },
        too_little={
            "not-told": resting_but("engine-0", without("generated_tokens", sampled("engine-0"))),
            "one-count": resting_but("engine-0", sampled("engine-0", 0, 9.5)),
            "nobody-was-scraped": history(*QUIET),
        },
    ),
    Plant(
        checker=c.LittleWasted(window="storm", tokens_per_cancel_max=20),
        clean={
            "what-was-read": wasting(30),
            "a-little-more": wasting(200),
            "what-whole-answers-had": wasting(500, hung_up_after_a_second(10)),
        },
        bugs={
            "generated-for-nobody": wasting(1000),
            "whole-answers-for-nobody": wasting(1200, hung_up_after_a_second(10)),
        },
        too_little={
            "no-cancels": history(*QUIET, *REST, *many(10, 4, 8)),
            "not-told": resting_but("engine-0", without("generated_tokens", sampled("engine-0"))),
            "no-sample-before": history(*QUIET, *sampled("engine-0", 5, 12), *many(10, 4, 8, cancelled)),
            "nothing-streamed": resting_but("engine-0", [*sampled("engine-0"), *hung_up_after_a_second(10)]),
            "nobody-was-scraped": history(*QUIET, *many(10, 4, 8, cancelled)),
        },
    ),
    Plant(
        checker=c.SocketsReturn(before="idle", window="quiet", slack=24),
        clean={"none-more": sockets(0), "idle-ones-are-kept": sockets(20)},
        bugs={"leaked": sockets(40)},
        too_little={
            "not-seen-afterwards": history(*QUIET, *seen("engine-0", 0, 4)),
            "never-seen": history(*QUIET),
            "counted-by-nobody": history(*QUIET, *seen("engine-0", sockets=0)),
        },
    ),
    Plant(
        checker=c.CancelsCovered(window="storm", cancels_min=80),
        clean={"every-kind": history(*QUIET, *storm(10))},
        too_little={
            "too-few": history(*QUIET, *storm(9)),
            "one-kind-missing": history(*QUIET, *storm(20)[:-20]),
            "none-before-a-token": history(*QUIET, *(cancelled(5, stream=True) for _ in range(100))),
            "none": history(*QUIET, *many(100, 4, 8)),
        },
    ),
]
