"""What a game day came to, by its record alone: PASS needs proof, FAIL a refutation, anything else is INCONCLUSIVE."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from servedrill.checkers.finding import Answer
from servedrill.gameday.record import (
    Action,
    AnyEntry,
    Begun,
    Ended,
    FaultSeen,
    Halted,
    HaltHealed,
    SceneJudged,
    SteadySeen,
    StepBegun,
    StepEnded,
)


class DayVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The day's answer, and why it is no PASS: a line each."""

    answer: Answer
    because: list[str] = []
    abort_s: float | None = None
    """From the stop to everything healed, where the day was stopped."""
    actions: int = 0


def day_verdict(record: Sequence[AnyEntry]) -> DayVerdict:
    """Pure: the same record gives the same verdict."""
    refuted: list[str] = []
    doubts: list[str] = []
    titles = {one.step: one.title for one in record if isinstance(one, StepBegun)}
    ended = {one.step for one in record if isinstance(one, StepEnded)}
    for one in record:
        match one:
            case StepEnded(answer=Answer.FAIL):
                refuted.append(f"step {one.step} ({titles.get(one.step, '')}): {one.said}")
            case StepEnded(answer=Answer.INCONCLUSIVE):
                doubts.append(f"step {one.step} ({titles.get(one.step, '')}): {one.said}")
            case SceneJudged(answer=Answer.FAIL):
                refuted.append(f"{one.folder}: {one.said}")
            case SceneJudged(answer=Answer.INCONCLUSIVE):
                doubts.append(f"{one.folder}: {one.said}")
            case SteadySeen(met=False, where="before"):
                doubts.append(f"not tested: the steady state was not met before anything was broken: {one.said}")
            case SteadySeen(met=False):
                refuted.append(f"the steady state did not come back {one.where}: {one.said}")
            case SteadySeen(met=None):
                doubts.append(f"nobody can say whether the steady state was met {one.where}: {one.said}")
            case Halted(measured=True):
                refuted.append(f"stopped: {one.reason}")
            case Halted():
                doubts.append(f"stopped by {one.by}: {one.reason}")
            case FaultSeen(what="healed", proven=False):
                doubts.append(f"{one.fault} on {one.target} is not proven to be healed: {one.said}")
    if not any(isinstance(one, Begun) for one in record):
        doubts.append("it never began")
    if not any(isinstance(one, Ended) for one in record):
        doubts.append("it did not come to its end")
    doubts += [f"step {step} ({title}) did not come to its end" for step, title in titles.items() if step not in ended]
    if not any(isinstance(one, SteadySeen) and one.met for one in record):
        doubts.append("the steady state was never seen to be met")
    healed = [one.seconds for one in record if isinstance(one, HaltHealed)]
    answer = Answer.FAIL if refuted else Answer.INCONCLUSIVE if doubts else Answer.PASS
    return DayVerdict(
        answer=answer,
        because=list(dict.fromkeys([*refuted, *doubts])),
        abort_s=max(healed, default=None),
        actions=sum(isinstance(one, Action) for one in record),
    )
