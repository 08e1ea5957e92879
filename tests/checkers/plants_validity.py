"""Planted doubts for the checkers of `servedrill.checkers.validity`: most only withhold their word."""

from __future__ import annotations

from made_up import Plant, answered, at, at_rest, changed, fault, history, late, many, on_time, refused, sampled
from starving import waits

from servedrill.checkers import validity as c
from servedrill.history import events as e
from servedrill.history.history import History
from servedrill.history.measurements import UNWATCHED

WHOLE = history()
NEW_EVENT = e.Unknown(t_ns=at(5), kind="kv_transfer", raw=b'{"type":"kv_transfer","t_ns":5}')
NEW_FIELD = changed(WHOLE.events[0], format=e.FORMAT + 1, extra={"weather": "fine"})
UNWATCHED_FOR_A_WHILE = e.Observed(t_ns=at(5), name=UNWATCHED, value=1, detail={"because": "it stood still for 35 s"})
NEVER_HEALED = fault("down", healed=False)
"""A refutation that want of cores could be to blame for."""

PLANTS = [
    Plant(
        checker=c.RanToItsEnd(),
        clean={"whole": WHOLE},
        too_little={"interrupted": history(interrupted="Ctrl-C"), "no-end": History(WHOLE.events[:-1])},
    ),
    Plant(
        checker=c.DrillWatched(),
        clean={"watched": WHOLE},
        too_little={"stood still": history(UNWATCHED_FOR_A_WHILE), "killed": History(WHOLE.events[:-1])},
    ),
    Plant(
        checker=c.HistoryKnown(),
        clean={"known": WHOLE},
        too_little={"new-event": history(NEW_EVENT), "new-field": History([NEW_FIELD, *WHOLE.events[1:]])},
    ),
    Plant(
        checker=c.FaultsTookEffect(),
        clean={"none": WHOLE, "proven": history(*fault(), *fault("down", "gateway-0"))},
        too_little={
            "touched-nothing": history(*fault(), *fault("down", took_effect=False)),
            "no-evidence": history(*fault(took_effect=None)),
        },
    ),
    Plant(
        checker=c.FaultsHealed(),
        clean={"none": WHOLE, "proven": history(*fault(), *fault("down", "gateway-0"))},
        bugs={"never": history(*fault(), *fault("down", end=None)), "not-proven": history(*fault(healed=False))},
    ),
    Plant(
        checker=c.LoadKeptSchedule(),
        clean={
            "on-time": WHOLE,
            "one-stall-of-a-moment": history(
                *on_time(), changed(on_time()[0], send_lags_ms={}, loop_lags_ms={2: 191, 46: 9})
            ),
        },
        too_little={
            "sent-late": history(*late()),
            "loop-late": history(*on_time(loop_lag_s=0.5)),
            "no-cpu-left": history(*on_time(cpu_ratio=0.99)),
            "nothing-sent": history(*on_time(sent=0)),
            "never-reported": History([event for event in WHOLE.events if event not in on_time()]),
        },
    ),
    Plant(
        checker=c.StackNotStarved(),
        clean={
            "alone": history(*waits(0.15)),
            "a-bad-second": history(*waits(0.15), *waits(0.9, start=3, end=5)),
            "in-its-own-way": history(*waits(0.9, own=0.95)),
        },
        too_little={
            "neighbours": history(*NEVER_HEALED, *waits(0.65)),
            "a-third-of-the-time": history(*NEVER_HEALED, *waits(0.15, end=8), *waits(0.7, start=8)),
            "stolen": history(*NEVER_HEALED, *(changed(look, stolen_s=0.9) for look in waits(0.15))),
            "nobody-looked": WHOLE,
        },
    ),
    Plant(
        checker=c.TrafficFlowed(),
        clean={"answered": history(*many(30, 0, 4)), "one-answered": history(*many(30, 0, 4, refused), answered(5))},
        too_little={"few": history(*many(5, 0, 4)), "none-answered": history(*many(30, 0, 4, refused)), "none": WHOLE},
    ),
    Plant(
        checker=c.SignalsHadData(),
        clean={
            "each": history(*at_rest()),
            "after-a-while": history(*sampled("engine-0", 0, 4, health=None), *sampled("engine-0", 4, 12)),
        },
        too_little={
            "one-never": history(*at_rest(), *sampled("engine-9", health=None)),
            "gateway-never": history(*sampled("gateway-0", health=None)),
        },
    ),
    Plant(
        checker=c.Unpromised(what="No answer stalls.", names=["idle_timeout_s"]),
        clean={},
        too_little={
            "nobody-did": History([changed(history().drill, promises={})]),
            "somebody-has-since": history(promises={"idle_timeout_s": 1.0}),  # the claim itself was never made
        },
    ),
]
