"""Planted bugs for the checkers of `servedrill.checkers.replicas`."""

from __future__ import annotations

from made_up import PHASES, Events, Plant, alert, at_rest, fault, history, sampled, seen, tried

from servedrill.checkers import replicas as c

KILL = fault("process_kill", "engine-0")
TWO_LIVES = [*seen("engine-0", 0, 4), *seen("engine-0", 5, 12, pid=200, children=(201,))]
TERM = fault("process_restart", "engine-0")


def answers_after(count: int, *, took_s: float = 0.1, status: int | None = 200) -> Events:
    """What the reborn engine answered first."""
    return [tried(f"run-{index}", "engine-0", 6 + index / 10, took_s=took_s, status=status) for index in range(count)]


def reborn(*, rss_mib: int = 80, start: float = 5, pid: int = 200, leftover: tuple[int, ...] = ()) -> Events:
    return seen(
        "engine-0", start, 12, pid=pid, children=(pid + 1,), rss_bytes=rss_mib << 20, leftover_pids=list(leftover)
    )


READY = [
    *TWO_LIVES,
    *sampled("engine-0", 0, 4),
    *sampled("engine-0", 5, 5.5, health=503),
    *sampled("engine-0", 5.5, 12),
]
DEAD_THEN_TRUE = [
    *sampled("engine-0", 0, 4),
    *sampled("engine-0", 4, 4.5),
    *sampled("engine-0", 4.5, 6, health=503),
    *sampled("engine-0", 6, 12),
]

PLANTS = [
    Plant(
        checker=c.ProcessesUnchanged(window="inject"),
        clean={
            "the-same": history(*PHASES, *seen("engine-0"), *seen("gateway-0")),
            "changed-before": history(*PHASES, *seen("engine-0", 0, 3.9), *seen("engine-0", 4, 12, pid=200)),
        },
        bugs={
            "replaced": history(*PHASES, *seen("engine-0", 0, 6), *seen("engine-0", 6, 12, pid=200)),
            "the-pid-came-again": history(*PHASES, *seen("engine-0", 0, 6), *seen("engine-0", 6, 12, start_ticks=9)),
            "its-child-was": history(*PHASES, *seen("engine-0", 0, 6), *seen("engine-0", 6, 12, children=(102,))),
            "gone": history(*PHASES, *seen("engine-0", 0, 6), *seen("engine-0", 6, 12, pid=None, children=())),
        },
        too_little={
            "never-seen": history(*PHASES),
            "not-seen-then": history(*PHASES, *seen("engine-0", 0, 4)),
            "no-process": history(*PHASES, *seen("engine-0", pid=None, children=())),
        },
    ),
    Plant(
        checker=c.MemorySteady(before="baseline", after="recover"),
        clean={
            "the-same": history(*PHASES, *at_rest(), *seen("engine-0")),
            "more-for-a-while": history(
                *PHASES,
                *at_rest(),
                *seen("engine-0", 0, 4),
                *seen("engine-0", 4, 8, rss_bytes=900 << 20),
                *seen("engine-0", 8, 12),
            ),
            "another-process": history(*PHASES, *at_rest(), *seen("engine-0", 0, 6), *seen("engine-0", 6, 12, pid=200)),
            "gateways-do-not-count": history(
                *PHASES,
                *at_rest(),
                *seen("engine-0"),
                *seen("gateway-0", 0, 6),
                *seen("gateway-0", 6, 12, rss_bytes=900 << 20),
            ),
        },
        bugs={
            "kept": history(*PHASES, *at_rest(), *seen("engine-0", 0, 6), *seen("engine-0", 6, 12, rss_bytes=90 << 20))
        },
        too_little={
            "never-seen": history(*PHASES, *at_rest()),
        },
    ),
    Plant(
        checker=c.KvPoolFilled(window="inject", replica="engine-0"),
        clean={
            "nearly-full": history(*PHASES, *sampled("engine-0", values={"kv_usage": 0.95})),
            "preempted": history(
                *PHASES,
                *sampled("engine-0", 4, 6, values={"preemptions": 2}),
                *sampled("engine-0", 6, 8, values={"preemptions": 3}),
            ),
        },
        too_little={
            "half-full": history(*PHASES, *sampled("engine-0", values={"kv_usage": 0.5, "preemptions": 7})),
            "full-at-another-time": history(
                *PHASES, *sampled("engine-0", 0, 4, values={"kv_usage": 1.0}), *sampled("engine-0", 4, 8)
            ),
            "another-engine": history(*PHASES, *sampled("engine-1", values={"kv_usage": 1.0})),
        },
    ),
    Plant(
        checker=c.HealthTellsTheTruth(replica="engine-0", fault="process_kill", within_s=1.0),
        clean={
            "noticed": history(
                *PHASES, *KILL, *seen("engine-0", 0, 12), *DEAD_THEN_TRUE[:12], *sampled("engine-0", 6, 8, health=None)
            ),
            "back-as-another": history(
                *PHASES, *KILL, *seen("engine-0", 0, 4.5), *seen("engine-0", 4.9, 12, pid=200), *sampled("engine-0")
            ),
            "control": history(*PHASES, control=True),
        },
        bugs={"lies": history(*PHASES, *KILL, *seen("engine-0"), *sampled("engine-0"))},
        too_little={
            "no-fault": history(*PHASES, *sampled("engine-0")),
            "not-sampled": history(*PHASES, *KILL, *sampled("engine-0", 0, 4)),
            "sampled-when-it-was-over": history(
                *PHASES, *KILL, *sampled("engine-0", 0, 4), *sampled("engine-0", 11, 12)
            ),
        },
    ),
    Plant(
        checker=c.ReadyMeansFast(replica="engine-0", first=6, first_token_s_max=0.4),
        clean={"fast": history(*READY, *answers_after(8)), "control": history(*seen("engine-0"), control=True)},
        bugs={
            "slow": history(*READY, *answers_after(8, took_s=0.9)),
            "refuses": history(*READY, *answers_after(1, status=503), *answers_after(8)[1:]),
        },
        too_little={
            "not-restarted": history(*seen("engine-0"), *answers_after(8)),
            "no-traffic-then": history(*READY, *answers_after(3)),
            "never-answered": history(*TWO_LIVES, *sampled("engine-0", 0, 4), *answers_after(8)),
        },
    ),
    Plant(
        checker=c.DrainLosesNothing(replica="engine-0"),
        clean={"finished": history(*TERM, tried("a", "engine-0", 3.9, took_s=1)), "control": history(control=True)},
        bugs={
            "cut": history(
                *TERM, tried("a", "engine-0", 3.9, took_s=1), tried("b", "engine-0", 3.9, took_s=1, end="cut")
            ),
            "no-answer": history(*TERM, tried("a", "engine-0", 3.9, took_s=1, status=None)),
            "an-error": history(*TERM, tried("a", "engine-0", 3.9, took_s=1, status=500)),
        },
        too_little={
            "nothing-was-open": history(
                *TERM, tried("a", "engine-0", 3.5), tried("b", "engine-1", 3.9, took_s=1), tried("c", "engine-0", 4.1)
            ),
            "no-fault": history(tried("a", "engine-0", 3.9, took_s=1)),
        },
    ),
    Plant(
        checker=c.MemoryBackBeforeRestart(replica="engine-0", window="inject"),
        clean={
            "one-clean-start": history(*PHASES, *seen("engine-0", 0, 4), *reborn()),
            "control": history(*PHASES, *seen("engine-0"), control=True),
        },
        bugs={
            "left-over": history(*PHASES, *seen("engine-0", 0, 4), *reborn(leftover=(101,))),
            "a-loop": history(
                *PHASES, *seen("engine-0", 0, 4), *reborn(start=5, pid=200)[:2], *reborn(start=6, pid=300)
            ),
            "holds-more": history(*PHASES, *seen("engine-0", 0, 4), *reborn(rss_mib=160)),
        },
        too_little={
            "not-restarted": history(*PHASES, *seen("engine-0")),
            "not-seen-before": history(*PHASES, *reborn()),
            "memory-of-nobody": history(*PHASES, *seen("engine-0", 0, 4, rss_bytes=0), *reborn(rss_mib=0)),
            "not-seen-then": history(*PHASES, *seen("engine-0", 0, 4)),
        },
    ),
    Plant(
        checker=c.AlertFired(alert="ReplicaDown", replica="engine-0", window="inject", within_s=2, resolves_within_s=5),
        clean={
            "in-time": history(*PHASES, *KILL, *alert("ReplicaDown", "engine-0", 5, 9)),
            "control": history(*PHASES, control=True),
        },
        bugs={
            "never": history(*PHASES, *KILL),
            "for-another": history(*PHASES, *KILL, *alert("ReplicaDown", "engine-1", 5, 9)),
            "another": history(*PHASES, *KILL, *alert("NoProgress", "engine-0", 5, 9)),
            "late": history(*PHASES, *KILL, *alert("ReplicaDown", "engine-0", 7, 9)),
            "stays": history(*PHASES, *KILL, *alert("ReplicaDown", "engine-0", 5, None)),
            "resolved-late": history(*PHASES, *KILL, *alert("ReplicaDown", "engine-0", 5, 11)),
            "of-another-time": history(*PHASES, *KILL, *alert("ReplicaDown", "engine-0", 0.5, 1)),
            "silenced": history(*PHASES, *KILL, *alert("ReplicaDown", "engine-0", 5, 9, silence="s-1")),
        },
        too_little={
            "no-fault": history(*PHASES),
            "fires-already": history(*PHASES, *KILL, *alert("ReplicaDown", "engine-0", 1, 9)),
        },
    ),
    Plant(
        checker=c.BreakersClosed(window="inject"),
        clean={
            "closed": history(*PHASES, *at_rest()),
            "open-before": history(
                *PHASES, *sampled("gateway-0", 0, 3.9, values={"breaker/engine-0": 1}), *sampled("gateway-0", 4, 12)
            ),
        },
        bugs={
            "opened": history(*PHASES, *sampled("gateway-0", values={"breaker/engine-0": 1})),
            "half-open": history(*PHASES, *sampled("gateway-0", values={"breaker/engine-0": 2})),
            "ejected": history(*PHASES, *sampled("gateway-0", values={"healthy/engine-0": 0})),
        },
        too_little={
            "no-gateway": history(*PHASES, *sampled("engine-0")),
            "one-of-two": history(*PHASES, *sampled("gateway-0"), *sampled("gateway-1", health=None)),
            "not-told": history(*PHASES, *sampled("gateway-0", health=None)),
        },
    ),
]
