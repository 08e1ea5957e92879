"""What people write against the front door: checked for its types, not run."""

from __future__ import annotations

from typing import Any, assert_type

from servedrill import (
    Answer,
    Checker,
    Drill,
    Evidence,
    Fault,
    Finding,
    History,
    NoFailures,
    Poisson,
    Proxied,
    RequestClass,
    RunCommand,
    Undo,
    Uniform,
    black_hole,
    chat,
    latency,
    limit,
    served,
    unnoticed,
)


class NoAnswerIsEmpty(Checker, frozen=True, kw_only=True):
    """Every answer says something."""

    window: str
    requests_min: int = 10
    ttft_s_max: float | None = None

    def __call__(self, history: History) -> Finding:
        ttft_s_max = limit(self.ttft_s_max, history, lambda promises: promises.failover_ttft_s)
        assert_type(ttft_s_max, float)
        requests = history.requests(self.window)
        if len(requests) < self.requests_min:
            return self.cannot_say(f"{len(requests)} requests, at least {self.requests_min} needed")
        empty = [request.id for request in requests if not any(request.texts)]
        return self.says(not empty, f"{len(empty)} of {len(requests)} are empty", threshold="0", evidence=empty)


class CordonNode:
    """A fault of one's own: what undoes it is on disk before it is injected."""

    name = "cordon"

    def __init__(self, node: str) -> None:
        self.target, self.attributes = node, dict[str, Any]()

    def undo(self) -> list[Undo]:
        """Let it have pods again."""
        return [RunCommand(argv=["kubectl", "uncordon", self.target])]

    def inject(self) -> None:
        """Nothing new goes there."""

    def evidence(self) -> Evidence:
        """What was seen of it."""
        return Evidence(proven=True, observed="unschedulable")

    def heal(self) -> Evidence:
        """As `undo`."""
        return Evidence(proven=True, observed="schedulable")


def test_mine(drill: Drill) -> None:
    """A drill of one's own."""
    stack: Proxied = drill.stack
    fault: Fault = latency(stack, drill.engines[0], ms=200)
    people: RequestClass = chat(rate=2, name="people", arrivals=Poisson(rate=2))
    drill.load(chat(rate=8, output_tokens=Uniform(4, 8)), people)
    drill.baseline(1.6)
    drill.break_for(1.0, fault, black_hole(stack, drill.engines[1]), CordonNode("gpu-7"), window="broken")
    drill.expect(
        served("baseline", "chat"), unnoticed("broken"), NoFailures(window="broken"), NoAnswerIsEmpty(window="broken")
    )


def read(finding: Finding) -> bool:
    """A verdict's parts have types."""
    return finding.answer is Answer.PASS
