"""Planted bugs for the checkers of `servedrill.checkers.progress`."""

from __future__ import annotations

from made_up import ENGINES, PHASES, Events, Plant, alert, at_rest, fault, history, sampled, tried

from servedrill.checkers import progress as c

STILL = [event for engine in ENGINES for event in fault("process_pause", engine)]


FULL = {"running": 3.0}


def work(*, said: float, engine: str = "engine-0") -> Events:
    """Three requests that are open at an engine all the time, and what it says of them."""
    open_ = [tried(f"run-{number}", engine, 3, took_s=6) for number in range(3)]
    return [*open_, *sampled(engine, values={"running": said, "waiting": 1}, every_s=0.2)]


PLANTS = [
    Plant(
        checker=c.ProgressAlerted(window="inject", within_s=3.0),
        clean={
            "told": history(*PHASES, *STILL, *alert("NoProgress", "stack", 6, 9)),
            "of-one-engine": history(*PHASES, *STILL, *alert("NoProgress", "engine-0", 6, 9)),
            "told-before-of-something-else": history(
                *PHASES, *STILL, *alert("NoProgress", "stack", 1, 2), *alert("NoProgress", "stack", 6, 9)
            ),
            "control": history(*PHASES, control=True),
        },
        bugs={
            "never": history(*PHASES, *STILL),
            "another": history(*PHASES, *STILL, *alert("ReplicaDown", "engine-0", 5, 9)),
            "late": history(*PHASES, *STILL, *alert("NoProgress", "stack", 7.5, 9)),
            "after-it-was-over": history(*PHASES, *STILL, *alert("NoProgress", "stack", 9, 10)),
            "for-ever": history(*PHASES, *STILL, *alert("NoProgress", "stack", 6, None)),
            "silenced": history(*PHASES, *STILL, *alert("NoProgress", "stack", 6, 9, silence="night")),
        },
        too_little={
            "nothing-was-broken": history(*PHASES, *alert("NoProgress", "stack", 6, 9)),
            "before-anything-was": history(*PHASES, *STILL, *alert("NoProgress", "stack", 2, 9)),
        },
    ),
    Plant(
        checker=c.EngineGaugesTrue(window="inject"),
        clean={
            "true": history(*PHASES, *work(said=2)),
            "one-off": history(*PHASES, *work(said=3)),
            "before-and-after-too": history(*PHASES, *work(said=2)[:3], *sampled("engine-0", every_s=0.2, values=FULL)),
        },
        bugs={
            "says-it-is-idle": history(*PHASES, *work(said=0)[:3], *sampled("engine-0", every_s=0.2)),
            "says-it-is-full": history(*PHASES, *work(said=9)),
            "the-other-one": history(*PHASES, *work(said=2), *work(said=9, engine="engine-1")),
        },
        too_little={
            "no-tap": history(*PHASES, *at_rest()),
            "never-sampled": history(*PHASES, *work(said=2)[:3]),
            "few": history(*PHASES, *work(said=2)[:3], *sampled("engine-0", 4, 5)),
        },
    ),
]
