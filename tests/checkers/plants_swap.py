"""Planted bugs for the checkers of `servedrill.checkers.swap`."""

from __future__ import annotations

from made_up import PHASES, Events, Plant, history, many, observed, refused

from servedrill.checkers import swap as c


def share(candidate: int, before: int) -> Events:
    """Answers of a candidate among those of the version before."""
    return [*many(candidate, 4, 8, version="v2"), *many(before, 4, 8)]


PLANTS = [
    Plant(
        checker=c.RolloutEnded(candidate="v2-slow", state="rolled_back", reason_names="tpot_s"),
        clean={
            "refused-for-that": history(observed("rollout/v2-slow", 3.0, state="rolled_back", reason="tpot_s 0.05")),
            "control": history(control=True),
        },
        bugs={
            "promoted": history(observed("rollout/v2-slow", 3.0, state="promoted", reason="")),
            "refused-for-another-reason": history(
                observed("rollout/v2-slow", 3.0, state="rolled_back", reason="no traffic reached the candidate")
            ),
            "still-running": history(observed("rollout/v2-slow", 20.0, state="running", reason="")),
        },
        too_little={
            "no-rollout": history(),
            "another's": history(observed("rollout/v2", 3.0, state="rolled_back", reason="tpot_s")),
        },
    ),
    Plant(
        checker=c.VersionsServed(window="inject", versions=["v1", "v2"]),
        clean={
            "both": history(*PHASES, *share(10, 10)),
            "errors-have-none": history(*PHASES, *share(10, 10), refused(5)),
        },
        bugs={"a-third": history(*PHASES, *share(10, 10), *many(1, 4, 8, version="v3"))},
        too_little={"few": history(*PHASES, *share(2, 2))},
    ),
    Plant(
        checker=c.VersionsServed(window="inject", versions=["v1"], adapter="adapters/b-2", classes=["tuned"]),
        clean={
            "its-revision": history(*PHASES, *many(20, 4, 8, cls="tuned", version="v1+adapters/b-2"), *many(5, 4, 8))
        },
        bugs={"the-one-before": history(*PHASES, *many(20, 4, 8, cls="tuned", version="v1+adapters/b-1"))},
        too_little={"none": history(*PHASES, *many(20, 4, 8))},
    ),
    Plant(
        checker=c.CanaryShareBounded(window="inject", candidate="v2", share_max=0.3, seen=True),
        clean={"some": history(*PHASES, *share(5, 20)), "control": history(*PHASES, control=True)},
        bugs={"too-many": history(*PHASES, *share(15, 15)), "none": history(*PHASES, *share(0, 30))},
        too_little={"few-answers": history(*PHASES, *share(2, 5))},
    ),
    Plant(
        checker=c.CanaryShareBounded(window="inject", candidate="v2", share_max=0.0, seen=False),
        clean={"none": history(*PHASES, *share(0, 30))},
        bugs={"one": history(*PHASES, *share(1, 30))},
    ),
    Plant(
        checker=c.ProbeSaid(name="freed", at_least=10, at_most=20, what="Sleep gives memory back."),
        clean={
            "between": history(observed("freed", 15)),
            "the-last-counts": history(observed("freed", 1, t=1), observed("freed", 15, t=2)),
        },
        bugs={
            "too-little": history(observed("freed", 9.9)),
            "too-much": history(observed("freed", 20.1, by="engine-0")),
        },
        too_little={"not-measured": history()},
    ),
]
