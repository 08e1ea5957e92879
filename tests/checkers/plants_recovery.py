"""Planted bugs for the checkers of `servedrill.checkers.recovery`."""

from __future__ import annotations

from made_up import (
    ENGINES,
    PHASES,
    Events,
    Plant,
    at_rest,
    changed,
    cut,
    history,
    many,
    observed,
    refused,
    sampled,
    tried,
)

from servedrill.checkers import recovery as c
from servedrill.history.history import History


def to(hop: str, count: int, start: float, end: float) -> Events:
    """Tries at one engine, spread over a time."""
    return [tried(f"{hop}/{start}/{index}", hop, start + (end - start) * index / count) for index in range(count)]


OTHERS = [*to("engine-1", 40, 4, 8), *to("engine-2", 40, 4, 8)]


def at_engine(hop: str, count: int, start: float, end: float, **fields: float | None) -> Events:
    """Requests that one engine answered at the first try."""
    requests = many(count, start, end, **fields)
    return [*requests, *(tried(str(r.attempts[0].request_id), hop, start) for r in requests if hasattr(r, "attempts"))]


def coded(gap_s: float, *, says: int | None) -> History:
    """Answers in 6 pieces from a model whose tokens nobody can count but its server."""
    requests = many(20, 0, 4, cls="code", gap_s=gap_s, completion_tokens=says)
    return history(*PHASES, *requests, promises={"oracle": "frames"})


SETTLED = [observed("settled/1", 0.5, t=5, met=True), observed("settled/2", 1.5, t=9, met=True)]


PLANTS = [
    Plant(
        checker=c.NewTrafficStops(window="inject", replica="engine-0", within_s=1.0),
        clean={
            "stopped": history(*PHASES, *OTHERS, *to("engine-0", 10, 4, 4.9)),
            "but-for-probes": history(*PHASES, *OTHERS, *to("engine-0", 9, 5, 8)),
            "back-in-between": history(
                *PHASES,
                *OTHERS,
                *sampled("engine-0", 0, 4.2),
                *sampled("engine-0", 4.2, 6.0, health=None),
                *sampled("engine-0", 6.0, 8.0),
                *to("engine-0", 40, 6.2, 8),
            ),
        },
        bugs={
            "goes-on": history(*PHASES, *OTHERS, *to("engine-0", 20, 5, 8)),
            "few-go-there-of-few": history(*PHASES, *to("engine-1", 6, 5, 8), *to("engine-0", 9, 5, 8)),
            "goes-on-and-one-scrape-was-slow": history(
                *PHASES,
                *OTHERS,
                *sampled("engine-0", 0, 5.2),
                *sampled("engine-0", 5.2, 5.6, health=None),
                *sampled("engine-0", 5.7, 8.0),
                *to("engine-0", 20, 5, 8),
            ),
        },
        too_little={"no-traffic": history(*PHASES), "only-before": history(*PHASES, *to("engine-1", 40, 4, 4.9))},
    ),
    Plant(
        checker=c.NewTrafficStops(window="inject", replica="engine-0", within_s=3.8),
        clean={},
        too_little={"window-too-short": history(*PHASES, *OTHERS)},
    ),
    Plant(
        checker=c.ShareRestored(window="recover", replicas=["engine-0"]),
        clean={"a-third": history(*PHASES, *at_rest(), *(event for hop in ENGINES for event in to(hop, 20, 9, 12)))},
        bugs={
            "nothing": history(*PHASES, *at_rest(), *to("engine-1", 30, 9, 12), *to("engine-2", 30, 9, 12)),
            "only-probes": history(
                *PHASES, *at_rest(), *to("engine-0", 3, 9, 12), *to("engine-1", 30, 9, 12), *to("engine-2", 30, 9, 12)
            ),
        },
        too_little={
            "few-tries": history(*PHASES, *at_rest(), *to("engine-0", 10, 9, 12)),
            "nobody-was-scraped": history(*PHASES),
        },
    ),
    Plant(
        checker=c.GoodputRecovers(within_s=1.0),
        clean={
            "at-once": history(*PHASES, *many(40, 8, 12)),
            "soon": history(*PHASES, *many(5, 8, 9, refused), *many(40, 9, 12)),
            "stragglers-in-time": history(*PHASES, *many(30, 8, 9), *many(8, 8, 9, refused), *many(40, 9, 12)),
            "failures-before-the-heal": history(*PHASES, *many(20, 4, 8, refused), *many(40, 8, 12)),
        },
        bugs={
            "too-late": history(*PHASES, *many(10, 8, 10, refused), *many(40, 10, 12)),
            "never": history(*PHASES, *many(40, 8, 12, refused)),
            "not-for-long": history(*PHASES, *many(40, 8, 10.5), *many(10, 10.5, 12, refused)),
            "stragglers-for-ever": history(*PHASES, *many(40, 8, 12), *many(8, 8, 12, refused)),
            "slow-is-not-good": history(*PHASES, *many(40, 8, 12, ttft_s=2.0)),
        },
        too_little={"few": history(*PHASES, *many(10, 8, 12)), "none": history(*PHASES, *many(40, 0, 4))},
    ),
    Plant(
        checker=c.BystandersUnaffected(window="inject", replica="engine-0"),
        clean={"as-before": history(*PHASES, *at_engine("engine-1", 20, 0, 4), *at_engine("engine-2", 20, 4, 8))},
        bugs={
            "all-blocked": history(
                *PHASES, *at_engine("engine-1", 20, 0, 4), *at_engine("engine-2", 20, 4, 8, ttft_s=2.0)
            )
        },
        too_little={
            "no-tap": history(*PHASES, *many(20, 0, 4), *many(20, 4, 8)),
            "no-token-before": history(
                *PHASES,
                *at_engine("engine-1", 20, 0, 4, t_first_ns=None),
                *at_engine("engine-2", 20, 4, 8, t_first_ns=None),
            ),
            "only-at-the-broken-one": history(
                *PHASES, *at_engine("engine-1", 20, 0, 4), *at_engine("engine-0", 20, 4, 8)
            ),
        },
    ),
    Plant(
        checker=c.SloMet(window="baseline", classes=["chat", "code"]),
        clean={
            "both": history(*PHASES, *many(20, 0, 4), *many(20, 0, 4, cls="code", gap_s=0.04)),
            "within-the-target": history(*PHASES, *many(39, 0, 4), refused(1), *many(20, 0, 4, cls="code")),
        },
        bugs={
            "late-first-token": history(*PHASES, *many(20, 0, 4, ttft_s=1.0), *many(20, 0, 4, cls="code")),
            "slow-tokens": history(*PHASES, *many(20, 0, 4), *many(20, 0, 4, cls="code", gap_s=0.08)),
            "failures-count": history(*PHASES, *many(20, 0, 4), refused(1), refused(2), *many(20, 0, 4, cls="code")),
            "cut-counts": history(*PHASES, *many(20, 0, 4), cut(1), cut(2), *many(20, 0, 4, cls="code")),
        },
        too_little={"one-class-only": history(*PHASES, *many(20, 0, 4)), "none": history(*PHASES)},
    ),
    Plant(
        checker=c.SloMet(window="baseline", classes=["code"]),
        clean={"by-what-came": coded(0.04, says=6), "whatever-is-counted": coded(0.04, says=1)},
        bugs={"slow": coded(0.2, says=6), "counts-one": coded(0.2, says=1), "counts-none": coded(0.2, says=None)},
        too_little={"only-by-the-count": coded(0.2, says=600), "several-in-a-piece": coded(0.12, says=18)},
    ),
    Plant(
        checker=c.SloMet(window="baseline", classes=["chat-eu"]),
        clean={"has-its-family's-objective": history(*PHASES, *many(20, 0, 4, cls="chat-eu"))},
        bugs={"has-its-family's-objective": history(*PHASES, *many(20, 0, 4, cls="chat-eu", ttft_s=1.0))},
    ),
    Plant(
        checker=c.Settled(settles_min=2),
        clean={"each-time": history(*at_rest(), *SETTLED)},
        bugs={"once-not": history(*at_rest(), SETTLED[0], observed("settled/2", 4.0, t=9, met=False))},
        too_little={
            "once": history(*at_rest(), SETTLED[0]),
            "never-waited-for": history(*at_rest()),
            "no-gateway-scraped": history(*SETTLED),
            "none-answered": history(*sampled("gateway-0", 0, 3), *sampled("gateway-0", 3, health=None), *SETTLED),
            "one-of-two-answered": history(*sampled("gateway-0"), *sampled("gateway-1", health=None), *SETTLED),
            "in-flight-alone": history(*(changed(s, values={"in_flight": 0}) for s in sampled("gateway-0")), *SETTLED),
        },
    ),
]
