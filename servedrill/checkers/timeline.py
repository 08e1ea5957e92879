"""How long it took to notice, to fail over and to be good again: the three times of a verdict, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.history.events import AlertSeen
from servedrill.history.history import History
from servedrill.slo.slo import objective_in

_BUCKET_S = 0.5


@dataclass(frozen=True, slots=True)
class Times:
    """None where there was nothing to time."""

    detect_s: float | None = None
    failover_s: float | None = None
    recover_s: float | None = None


def timeline(history: History) -> Times:
    """For the first fault of the history.

    detect: to the first gateway that ejects a replica, opens a breaker, or the first alert. failover: to the last failure that a user saw while
    the fault was in place. recover: from the last healing to the end of the last half second in which a quarter of the requests were not good.
    """
    if not history.faults:
        return Times()
    start_ns = history.faults[0].start_ns
    healed = [span.end_ns for span in history.faults if span.end_ns is not None]
    signs = [a.t_ns for a in history.of(AlertSeen) if a.state == "firing" and a.t_ns > start_ns]
    for sample in history.samples(role="gateway"):
        if sample.t_ns > start_ns and any(
            (k.startswith("breaker/") and v == 1) or (k.startswith("healthy/") and v == 0)
            for k, v in sample.values.items()
        ):
            signs.append(sample.t_ns)
            break
    first_end_ns = history.faults[0].end_ns or history.end_ns
    failures = [
        r.t_int_ns for r in history.requests() if r.failure is not None and start_ns <= r.t_int_ns <= first_end_ns
    ]
    recover_s = None
    if healed:
        buckets: dict[int, list[bool]] = {}
        objective_of = objective_in(history)
        for request in history.requests():
            if request.t_int_ns >= max(healed):
                buckets.setdefault(int((request.t_int_ns - max(healed)) / 1e9 / _BUCKET_S), []).append(
                    objective_of(request.cls).good(request)
                )
        bad = [index for index, goods in buckets.items() if sum(goods) < 0.75 * len(goods)]
        recover_s = (max(bad) + 1) * _BUCKET_S if bad else 0.0 if buckets else None
    return Times(
        detect_s=(min(signs) - start_ns) / 1e9 if signs else None,
        failover_s=(max(failures) - start_ns) / 1e9 if failures else 0.0,
        recover_s=recover_s,
    )
