"""Planted bugs for the checkers of `servedrill.checkers.retries`."""

from __future__ import annotations

from made_up import PHASES, Events, Plant, answered, changed, fault, history, many, tries

from servedrill.checkers import retries as c


def calls(count: int, *statuses: int | None, start: float = 4, step_s: float = 0.02, **how: object) -> Events:
    """``count`` calls, each with these tries; the wait grows by ``step_s`` from call to call unless told."""
    return [
        event
        for index in range(count)
        for event in tries(
            f"run/{start}/{statuses}/{index}",
            start + index / count,
            *statuses,
            **{"wait_s": 0.02 + step_s * index, **how},
        )  # type: ignore[arg-type]
    ]


ONE_EACH = calls(20, 200)
BAD = answered(5, cls="bad")
BAD_ID = str(BAD.attempts[0].request_id)

PLANTS = [
    Plant(
        checker=c.TriesBounded(window="inject", tries_max=3),
        clean={
            "one-each": history(*PHASES, *ONE_EACH),
            "three-at-most": history(*PHASES, *ONE_EACH, *calls(3, 503, 503, 200)),
            "streams-resumed": history(*PHASES, *calls(3, 503, 503, 200, 200, 200)),
            "clients-ask-again": history(*PHASES, *tries("a", 4, 503, 503, 503), *tries("a", 5, 503, 503, 200)),
            "stale-knowledge": history(*PHASES, *calls(3, 404, 200)),
        },
        bugs={
            "one-more": history(*PHASES, *ONE_EACH, *calls(1, 503, 503, 503, 200)),
            "resumed-for-ever": history(*PHASES, *ONE_EACH, *calls(1, 200, 200, 200, 200, 200, 200)),
            "caller's-fault": history(*PHASES, *ONE_EACH, *calls(1, 400, 200)),
            "not-an-answer": history(*PHASES, *calls(1, None, None, None, None)),
        },
        too_little={"no-tries": history(*PHASES), "only-before": history(*PHASES, *calls(20, 200, start=1))},
    ),
    Plant(
        checker=c.TriesBounded(window="inject", tries_max=1, calls="bad"),
        clean={"others-may": history(*PHASES, BAD, *tries(BAD_ID, 5, 400), *calls(3, 503, 200))},
        bugs={"tried-again": history(*PHASES, BAD, *tries(BAD_ID, 5, 400, 400))},
        too_little={"none-of-the-class": history(*PHASES, *ONE_EACH)},
    ),
    Plant(
        checker=c.RetriesWithinBudget(window="inject", ratio=0.2, min_per_s=1, burst=2, gateways=1),
        clean={"within": history(*PHASES, *many(20, 4, 8), *calls(10, 503, 200)), "none": history(*PHASES, *ONE_EACH)},
        bugs={"multiplied": history(*PHASES, *many(20, 4, 8), *calls(20, 503, 503, 200))},
        too_little={"no-tries": history(*PHASES, *many(20, 4, 8))},
    ),
    Plant(
        checker=c.RetriesWithinBudget(window="inject", ratio=0.2, min_per_s=1, burst=2),
        clean={"gateways-that-nobody-scrapes": history(*PHASES, *many(20, 4, 8), *calls(10, 503, 200))},
        bugs={"multiplied": history(*PHASES, *many(20, 4, 8), *calls(20, 503, 503, 200))},
        too_little={"no-gateway": history(*PHASES, *calls(10, 503, 200))},
    ),
    Plant(
        checker=c.RetriesSpread(window="inject"),
        clean={"spread": history(*PHASES, *calls(10, 503, 200)), "more": history(*PHASES, *calls(30, 503, 200))},
        bugs={
            "fixed-step": history(*PHASES, *calls(10, 503, 200, wait_s=0.1)),
            "at-once": history(*PHASES, *calls(10, 503, 200, wait_s=0.0)),
            "two-fixed-steps": history(
                *PHASES, *calls(11, 503, 200, wait_s=0.01), *calls(11, 503, 200, start=5, wait_s=1.0)
            ),
        },
        too_little={
            "few": history(*PHASES, *calls(5, 503, 200)),
            "told-when": history(*PHASES, *calls(10, 503, 200, retry_after_s=0.01)),
        },
    ),
    Plant(
        checker=c.RetryAfterHonoured(window="inject"),
        clean={
            "waited": history(*PHASES, *calls(5, 429, 200, retry_after_s=1, wait_s=1.1)),
            "503-tried-elsewhere": history(*PHASES, *calls(5, 503, 200, retry_after_s=1, wait_s=0.1)),
            "given-up": history(*PHASES, *calls(5, 429, retry_after_s=1)),
        },
        bugs={
            "429-tried-elsewhere": history(*PHASES, *calls(5, 429, 200, retry_after_s=1, wait_s=0.5)),
            "503-tried-there-again": history(
                *PHASES, *calls(5, 503, 200, retry_after_s=1, wait_s=0.5, hops=("engine-0",))
            ),
            "only-the-first-is-honoured": history(
                *PHASES,
                *calls(4, 429, 200, retry_after_s=1, wait_s=1.1),
                *tries("x", 5, 503, 429, 200, retry_after_s=1, wait_s=0.5),
            ),
            "forgotten-at-the-third": history(
                *PHASES,
                *calls(4, 429, retry_after_s=1),
                *tries("x", 5, 503, 503, 200, retry_after_s=1, hops=("engine-0", "engine-1", "engine-0")),
            ),
        },
        too_little={
            "none-asked": history(*PHASES, *calls(5, 503, 200)),
            "few": history(*PHASES, *calls(2, 429, 200, retry_after_s=1, wait_s=1.1)),
            "waits-as-long-by-itself": history(
                *PHASES, *calls(5, 429, 200, retry_after_s=1, wait_s=1.1), *calls(5, 503, 200, start=1, wait_s=1.0)
            ),
        },
    ),
    Plant(
        checker=c.TriesSpread(window="inject"),
        clean={"elsewhere": history(*PHASES, *calls(5, 503, 503, 200))},
        bugs={"the-same": history(*PHASES, *calls(5, 503, 503, 200, hops=("engine-0",)))},
        too_little={"no-retries": history(*PHASES, *ONE_EACH), "few": history(*PHASES, *calls(2, 503, 200))},
    ),
    Plant(
        checker=c.EveryTryAnswered(window="inject"),
        clean={
            "each": history(*PHASES, *calls(40, 200)),
            "errors-are-answers": history(*PHASES, *calls(40, 503, 200)),
            "swallowed-by-a-fault": history(
                *PHASES, *calls(40, 200), *fault(target="engine-0", start=5, end=6), *tries("x", 5.2, None)
            ),
            "still-under-way": history(*PHASES, *calls(40, 200), changed(tries("y", 7, None)[0], t_end_ns=None)),
        },
        bugs={
            "one-lost": history(*PHASES, *calls(40, 200), *tries("x", 5.2, None)),
            "a-fault-elsewhere": history(
                *PHASES, *calls(40, 200), *fault(target="engine-1", start=5, end=6), *tries("x", 5.2, None)
            ),
            "after-the-fault": history(
                *PHASES, *calls(40, 200), *fault(target="engine-0", start=4, end=5), *tries("x", 5.2, None)
            ),
        },
        too_little={"few": history(*PHASES, *calls(20, 200)), "no-tap": history(*PHASES, *many(40, 4, 8))},
    ),
]
