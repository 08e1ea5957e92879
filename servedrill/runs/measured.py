"""The figures by which two runs of a drill are compared, in short blocks of time, so that their noise can be told from
a change.

Requests of one moment share their fate, so they are no independent observations; blocks nearly are, within one phase of
a drill. Phases are part of the drill and not chance: a block knows which windows it lay in, and is only ever exchanged
for others of the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Literal

import msgspec

from servedrill.checkers.finding import Answer
from servedrill.history.source import Lines
from servedrill.runs.digest import Digest
from servedrill.runs.stored import StoredDrill
from servedrill.stats.percentiles import percentile

BLOCK_NS = 250_000_000
BLOCKS_MAX = 800
"""A longer drill has longer blocks."""
VALUES_MAX = 40_000
"""Latencies that are kept of one drill, evenly chosen: more make no interval narrower that anyone could see."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of a drill: how it is called, what is better, and what difference matters."""

    name: str
    unit: Literal["s", "%"]
    better: Literal["less", "more"]
    least: float
    """Differences below this are of no concern, however certain; in the unit."""
    least_ratio: float = 0.0
    """The same as a share of the baseline."""
    resolution_s: float = 0.0
    """How finely it is measured: the scrape's or the bucket's length."""


FIGURES = (
    Figure(name="TTFT p50", unit="s", better="less", least=0.005, least_ratio=0.05),
    Figure(name="TTFT p95", unit="s", better="less", least=0.010, least_ratio=0.05),
    Figure(name="TPOT p50", unit="s", better="less", least=0.001, least_ratio=0.05),
    Figure(name="goodput", unit="%", better="more", least=1.0),
    Figure(name="detect", unit="s", better="less", least=0.2, resolution_s=0.2),
    Figure(name="fail over", unit="s", better="less", least=0.2, resolution_s=0.2),
    Figure(name="recover", unit="s", better="less", least=0.5, resolution_s=0.5),
    Figure(name="MTTR", unit="s", better="less", least=0.5, resolution_s=0.5),
)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that were due within one block of time."""

    phase: str
    """The windows that were open."""
    ttft_s: list[float]
    """Of streams that got a token. Those that got none are what goodput counts."""
    tpot_s: list[float]
    good: int
    asked: int
    """Of classes that something was promised."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One drill of one run."""

    blocks: list[Block]
    detect_s: float | None
    failover_s: float | None
    recover_s: float | None
    mttr_s: float | None
    on_time: bool
    """Whether the load generator kept its schedule: a late client looks like a slow server."""

    def value(self, figure: str, blocks: list[Block] | None = None) -> float | None:
        """A figure, of all blocks or of these; None where there is nothing to measure it by."""
        chosen = self.blocks if blocks is None else blocks
        match figure:
            case "TTFT p50" | "TTFT p95":
                return _percentile([value for block in chosen for value in block.ttft_s], float(figure[-2:]))
            case "TPOT p50":
                return _percentile([value for block in chosen for value in block.tpot_s], 50)
            case "goodput":
                asked = sum(block.asked for block in chosen)
                return 100 * sum(block.good for block in chosen) / asked if asked else None
            case "detect":
                return self.detect_s
            case "fail over":
                return self.failover_s
            case "recover":
                return self.recover_s
            case _:
                return self.mttr_s


def _percentile(values: list[float], p: float) -> float | None:
    return percentile(values, p) if values else None


def measure(drill: StoredDrill) -> Measured:
    """The figures of a drill, from its folder."""
    digest = Digest(Lines(drill.history, kept_max_bytes=0))
    r, verdict = digest.requests, drill.verdict
    rows = [row for row in r.rows() if not r.cancelled(row)]
    length_ns = max(BLOCK_NS, int(digest.seconds * 1e9) // BLOCKS_MAX)
    every = max(1, len(rows) // VALUES_MAX)
    promised = [objective.ttft_s or objective.tpot_s or objective.max_stall_s for objective in r.objectives]
    found: dict[tuple[int, str], Block] = {}
    counts: dict[tuple[int, str], list[int]] = {}
    phase_at = _phases(digest)
    for number, row in enumerate(rows):
        key = ((r.due[row] - digest.start_ns) // length_ns, phase_at(r.due[row]))
        if key not in found:
            found[key], counts[key] = Block(phase=key[1], ttft_s=[], tpot_s=[], good=0, asked=0), [0, 0]
        if promised[r.cls[row]]:
            counts[key][0] += r.good[row]
            counts[key][1] += 1
        if number % every == 0:
            if r.stream[row] and r.first[row] >= 0:
                found[key].ttft_s.append((r.first[row] - r.due[row]) / 1e9)
            if r.tpot_ms[row] >= 0:
                found[key].tpot_s.append(r.tpot_ms[row] / 1e3)
    return Measured(
        blocks=[
            msgspec.structs.replace(found[key], good=counts[key][0], asked=counts[key][1]) for key in sorted(found)
        ],
        detect_s=verdict.detect_s,
        failover_s=verdict.failover_s,
        recover_s=verdict.recover_s,
        mttr_s=verdict.mttr_s,
        on_time=all(f.answer is Answer.PASS for f in verdict.findings if f.checker == "LoadKeptSchedule"),
    )


def _phases(digest: Digest) -> Callable[[int], str]:
    """What says which windows were open at an instant."""
    windows = digest.rest.windows.values()
    edges = sorted({edge for window in windows for edge in (window.start_ns, window.end_ns)})
    names = ["/".join(window.name for window in windows if window.start_ns <= edge < window.end_ns) for edge in edges]
    return lambda t_ns: names[at - 1] if (at := bisect_right(edges, t_ns)) else ""
