"""Planted bugs for the checkers of `servedrill.checkers.answered`."""

from __future__ import annotations

from made_up import (
    PHASES,
    Plant,
    answered,
    at_rest,
    cancelled,
    changed,
    cut,
    fault,
    history,
    many,
    refused,
    sampled,
    silent,
)

from servedrill.checkers import answered as c

GOOD = many(12, 0, 4)
UNREAD = changed(
    answered(1), attempts=[changed(answered(1).attempts[0], error="http_503", status=503), *answered(1).attempts]
)
ERRORS = many(6, 4, 8, refused)

PLANTS = [
    Plant(
        checker=c.NoFailures(window="baseline"),
        clean={
            "all-answered": history(*PHASES, *GOOD),
            "another-window": history(*PHASES, *GOOD, refused(5)),
            "drill's-own-cancel": history(*PHASES, *GOOD, cancelled(1)),
            "cut-by-the-next-fault": history(*PHASES, *GOOD, *fault(start=4), silent(3.9)),
        },
        bugs={
            "one-cut": history(*PHASES, *GOOD, cut(1)),
            "one-refused": history(*PHASES, *GOOD, refused(1)),
            "failed-before-the-next-fault": history(*PHASES, *GOOD, *fault(start=4), cut(3)),
        },
        too_little={"few": history(*PHASES, *many(3, 0, 4)), "none": history(*PHASES)},
    ),
    Plant(
        checker=c.NoFailures(window="baseline", classes=["code"]),
        clean={"only-others-failed": history(*PHASES, *many(12, 0, 4, cls="code"), refused(1))},
        bugs={"one-of-the-class": history(*PHASES, *many(12, 0, 4, cls="code"), refused(1, cls="code"))},
        too_little={"none-of-the-class": history(*PHASES, *GOOD)},
    ),
    Plant(
        checker=c.NoFailureBeforeFirstToken(window="baseline"),
        clean={
            "cut-after-it": history(*PHASES, *GOOD, cut(1)),
            "fell-into-the-next-fault": history(*PHASES, *GOOD, silent(3.5, after_s=4), *fault(start=4.5)),
        },
        bugs={
            "refused": history(*PHASES, *GOOD, refused(1)),
            "nothing-came": history(*PHASES, *GOOD, silent(1)),
            "client-had-to-ask-again": history(*PHASES, *GOOD, UNREAD),
        },
        too_little={"few": history(*PHASES, *many(3, 0, 4))},
    ),
    Plant(
        checker=c.BrokenStreamsSaidSo(window="inject", resumes=False),
        clean={"none-broke": history(*PHASES, *many(5, 4, 8)), "said-so": history(*PHASES, cut(5, "error_event"))},
        bugs={"silent": history(*PHASES, cut(5, "error_event"), cut(5))},
        too_little={"no-requests": history(*PHASES, *GOOD)},
    ),
    Plant(
        checker=c.BrokenStreamsSaidSo(window="inject", resumes=True),
        clean={"none-broke": history(*PHASES, *many(5, 4, 8)), "refused-before": history(*PHASES, refused(5))},
        bugs={"said-so-and-gave-up": history(*PHASES, *many(5, 4, 8), cut(5, "error_event"))},
        too_little={"no-requests": history(*PHASES)},
    ),
    Plant(
        checker=c.EveryRequestResolved(window="inject"),
        clean={"answers-and-errors": history(*PHASES, *many(6, 4, 8), *ERRORS)},
        bugs={
            "deadline": history(*PHASES, *many(12, 4, 8), silent(5, after_s=12, failure="deadline")),
            "later-than-the-deadline": history(*PHASES, *many(12, 4, 8), silent(5, after_s=13)),
            "cancel-that-took-for-ever": history(*PHASES, *many(12, 4, 8), cancelled(5, after_s=13, kept=0)),
        },
        too_little={"few": history(*PHASES, *many(3, 4, 8))},
    ),
    Plant(
        checker=c.ErrorsReadable(window="inject"),
        clean={
            "readable": history(*PHASES, *ERRORS),
            "our-own-are-left-out": history(
                *PHASES, *ERRORS, changed(refused(5, readable=False), error_message="injected fault: status 503")
            ),
            "400-needs-no-retry-after": history(*PHASES, *many(6, 4, 8, refused, status=400, retry_after_s=None)),
        },
        bugs={
            "no-error-object": history(*PHASES, *ERRORS, refused(5, readable=False)),
            "no-request-id": history(*PHASES, *ERRORS, changed(refused(5), error_request_id=None)),
            "no-retry-after": history(*PHASES, *ERRORS, refused(5, retry_after_s=None)),
            "no-status": history(*PHASES, *ERRORS, silent(5, failure="reset")),
        },
        too_little={"few": history(*PHASES, *ERRORS[:4]), "none": history(*PHASES, *many(12, 4, 8))},
    ),
    Plant(
        checker=c.ErrorsFast(window="inject", median_s=1.0, worst_s=2.0),
        clean={
            "fast": history(*PHASES, *ERRORS),
            "half-of-them": history(*PHASES, *ERRORS, *many(5, 4, 8, refused, after_s=1.9)),
        },
        bugs={
            "one-too-slow": history(*PHASES, *ERRORS, refused(5, after_s=2.5)),
            "most-slow": history(*PHASES, *ERRORS, *many(7, 4, 8, refused, after_s=1.5)),
            "nothing-sent": history(*PHASES, *ERRORS, changed(silent(5, after_s=6, failure="connect"), attempts=[])),
        },
        too_little={"few": history(*PHASES, *ERRORS[:4])},
    ),
    Plant(
        checker=c.RefusedWith(window="inject", classes=["bad"], statuses=[400]),
        clean={"both-modes": history(*PHASES, refused(5, 400, cls="bad"), refused(5, 400, cls="bad", stream=False))},
        bugs={
            "served": history(*PHASES, refused(5, 400, cls="bad"), answered(5, cls="bad", stream=False)),
            "another-status": history(*PHASES, refused(5, 500, cls="bad"), refused(5, 400, cls="bad", stream=False)),
            "unreadable": history(
                *PHASES, refused(5, 400, cls="bad", readable=False), refused(5, 400, cls="bad", stream=False)
            ),
            "generated-first": history(
                *PHASES, changed(refused(5, 400, cls="bad"), texts=[" word"]), refused(5, 400, cls="bad", stream=False)
            ),
        },
        too_little={
            "one-mode": history(*PHASES, *many(5, 4, 8, refused, status=400, cls="bad")),
            "none": history(*PHASES),
        },
    ),
    Plant(
        checker=c.OverloadRefused(window="inject", classes=["chat"], ttft_s_max=1.0),
        clean={"some-refused": history(*PHASES, *many(12, 4, 8), refused(5), refused(5, 429))},
        bugs={
            "nobody-refused": history(*PHASES, *many(12, 4, 8)),
            "admitted-and-lost": history(*PHASES, *many(12, 4, 8), refused(5), silent(5)),
            "admitted-and-late": history(*PHASES, *many(12, 4, 8, ttft_s=3.0), refused(5)),
        },
        too_little={"no-requests": history(*PHASES, *GOOD)},
    ),
    Plant(
        checker=c.FirstTokenBounded(window="inject", ttft_s_max=2.0, per_token_s=0.1),
        clean={
            "soon": history(*PHASES, *many(5, 4, 8)),
            "late-in-another-window": history(*PHASES, *many(5, 4, 8), answered(1, ttft_s=9.0)),
            "whole-answers-take-longer": history(*PHASES, *many(5, 4, 8, stream=False, tokens=10, ttft_s=2.9)),
        },
        bugs={
            "one-late": history(*PHASES, *many(5, 4, 8), answered(5, ttft_s=2.5)),
            "a-whole-answer-late": history(*PHASES, *many(5, 4, 8), answered(5, stream=False, tokens=10, ttft_s=3.1)),
            "one-that-never-came": history(*PHASES, *many(5, 4, 8), silent(5, after_s=8)),
        },
        too_little={"none": history(*PHASES), "nothing-came": history(*PHASES, refused(5))},
    ),
    Plant(
        checker=c.AdmissionBounded(window="inject", engine_max=8, gateway_max=20),
        clean={
            "at-rest": history(*PHASES, *at_rest()),
            "full": history(
                *PHASES,
                *sampled("engine-0", values={"running": 5, "waiting": 3}),
                *sampled("gateway-0", values={"in_flight": 20}),
            ),
            "more-before": history(
                *PHASES, *sampled("engine-0", 0, 4, values={"waiting": 30}), *sampled("engine-0", 4, 12)
            ),
        },
        bugs={
            "one-too-many-at-an-engine": history(*PHASES, *sampled("engine-0", values={"running": 5, "waiting": 4})),
            "one-too-many-at-a-gateway": history(*PHASES, *at_rest(), *sampled("gateway-0", values={"in_flight": 21})),
        },
        too_little={
            "no-samples": history(*PHASES),
            "none-answered": history(*PHASES, *sampled("engine-0", health=None)),
        },
    ),
]
