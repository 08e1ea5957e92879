"""What a worker and its parent say to each other: one JSON object a line on the worker's stdin and stdout."""

from __future__ import annotations

from typing import Literal

import msgspec

from servedrill.load.plan import LoadPlan


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The first line that a worker reads."""

    plan: LoadPlan
    journal: str
    worker: int = 0
    workers: int = 1
    secrets: list[str] = []
    """What its parent knows may not be written down."""


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every later line: begin at ``t0_ns``, stop within ``drain_s``, or hang up on everything."""

    cmd: Literal["start", "stop", "abort"]
    t0_ns: int = 0
    drain_s: float = 0.0


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker's counts, every 0.25 s and once more at its end."""

    ready: bool = False
    finished: bool = False
    """Nothing is left to send and nothing in flight; the worker ends after this line."""
    planned: int = 0
    sent: int = 0
    done: int = 0
    """Requests that ended, however they did."""
    failed: dict[str, int] = {}
    """Failures by kind, in the words of `RequestRecord.failure`."""
    cancelled: int = 0
    in_flight: int = 0
    tokens_per_s: float = 0.0
    """Content deltas read a second, since the line before."""
    loop_lag_s_p99: float = 0.0
    send_lag_s_p99: float = 0.0
    cpu_ratio: float = 0.0
    connections_opened: int = 0
    connections_reused: int = 0
    resolver_failures: int = 0


def merged(parts: list[Status]) -> Status:
    """One status for all workers: counts add up, lags are the worst."""
    failed: dict[str, int] = {}
    for part in parts:
        for kind, count in part.failed.items():
            failed[kind] = failed.get(kind, 0) + count
    return Status(
        ready=all(part.ready for part in parts),
        finished=all(part.finished for part in parts),
        planned=sum(part.planned for part in parts),
        sent=sum(part.sent for part in parts),
        done=sum(part.done for part in parts),
        failed=failed,
        cancelled=sum(part.cancelled for part in parts),
        in_flight=sum(part.in_flight for part in parts),
        tokens_per_s=sum(part.tokens_per_s for part in parts),
        loop_lag_s_p99=max((part.loop_lag_s_p99 for part in parts), default=0.0),
        send_lag_s_p99=max((part.send_lag_s_p99 for part in parts), default=0.0),
        cpu_ratio=max((part.cpu_ratio for part in parts), default=0.0),
        connections_opened=sum(part.connections_opened for part in parts),
        connections_reused=sum(part.connections_reused for part in parts),
        resolver_failures=sum(part.resolver_failures for part in parts),
    )
