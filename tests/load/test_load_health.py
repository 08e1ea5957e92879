"""The generator's own lateness is measured without flattery."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvloop

from servedrill.host.clock import now_ns
from servedrill.load.alarm import Alarm
from servedrill.load.calibrate import measure_error_bound
from servedrill.load.health import CpuMeter, LagMeter, p99_s
from servedrill.load.messages import Status, merged


def test_a_stall_counts_for_all_the_time_that_it_took() -> None:
    """One stall of 200 ms in a second is no rare event: the percentile shows it."""

    async def stall() -> list[int]:
        meter = LagMeter(asyncio.get_running_loop())
        begun = time.monotonic()
        while time.monotonic() < begun + 0.4:
            await asyncio.sleep(0.005)
        time.sleep(0.2)  # the stall
        while time.monotonic() < begun + 1.0:
            await asyncio.sleep(0.005)
        meter.close()
        return meter.take()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        lags = runner.run(stall())
    assert p99_s(lags) > 0.15
    assert sum(lag > 50_000_000 for lag in lags) >= 25


def test_cpu_ratio() -> None:
    """A process that only computes is told the share of a core that it got, however much that was."""
    cpu_s, wall_s = time.process_time(), time.monotonic()
    meter = CpuMeter()
    begun_cpu_s, begun_s = time.process_time(), time.monotonic()
    while time.process_time() < cpu_s + 0.05:
        pass
    least = (time.process_time() - begun_cpu_s, time.monotonic() - begun_s)
    ratio = meter.take()
    most = (time.process_time() - cpu_s, time.monotonic() - wall_s)
    assert least[0] / most[1] <= ratio <= most[0] / least[1]
    assert ratio > 0


def test_p99() -> None:
    """Nearest rank, in seconds; nothing is nought."""
    assert p99_s([]) == 0
    assert p99_s([5_000_000_000]) == 5
    assert p99_s([int(i * 1e9) for i in range(1, 201)]) == 198


def test_status_of_several_workers() -> None:
    """Counts add up, lags are the worst, failures are merged by kind."""
    both = merged(
        [
            Status(ready=True, sent=2, failed={"cut": 1}, loop_lag_s_p99=0.1),
            Status(ready=True, finished=True, sent=3, failed={"cut": 2, "reset": 1}, loop_lag_s_p99=0.2),
        ]
    )
    assert (both.ready, both.finished, both.sent, both.loop_lag_s_p99) == (True, False, 5, 0.2)
    assert both.failed == {"cut": 3, "reset": 1}


def test_an_alarm_rings_for_the_earliest_and_only_while_open() -> None:
    """Later instants do not postpone it, an earlier one brings it forward, closing it ends it."""

    async def ring() -> list[float]:
        rung: list[float] = []
        begun = now_ns()
        alarm = Alarm(asyncio.get_running_loop(), lambda: rung.append((now_ns() - begun) / 1e9))
        alarm.arm(begun + 120_000_000_000)
        alarm.arm(begun + 20_000_000)
        alarm.arm(begun + 60_000_000_000)
        while not rung:
            await asyncio.sleep(0.001)
        alarm.arm(now_ns() + 10_000_000)
        alarm.close()
        await asyncio.sleep(0.03)
        return rung

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        (rung_s,) = runner.run(ring())
    assert 0.018 <= rung_s < 60  # it may be a millisecond early: who sets it looks again


def test_the_client_states_its_own_error() -> None:
    """Against a server that stamps its tokens, every stream is whole and no token was read before it was written."""
    bound = measure_error_bound(streams=20, gap_ms=20, seconds=0.4)
    assert (bound.streams, bound.events, bound.failures) == (20, 400, 0)
    assert 0 < bound.ttft_s_p50 <= bound.ttft_s_p99
    assert bound.cpu_us_per_event == pytest.approx(100, abs=2000)
