"""A fault that is held by hand: in place, proven, healed, and whether users got on with it."""

from __future__ import annotations

from collections.abc import Sequence

from servedrill.checkers.finding import Answer
from servedrill.drill.context import Drill
from servedrill.gameday import record as r
from servedrill.gameday.live import Live, Reading
from servedrill.gameday.plan import faults_of
from servedrill.gameday.playbook import Condition, Step, seconds
from servedrill.gameday.scene import Scenes
from servedrill.gameday.watch import Watch
from servedrill.history.events import FaultEvidence, FaultHealed, FaultInjected
from servedrill.history.journal import read_events
from servedrill.host.clock import NS, now_ns

_GRACE_S = 60.0
"""Beyond the time that a fault is held, before the watchdog undoes it by itself."""


def hold_fault(
    place: str, step: Step, *, scenes: Scenes, live: Live, watch: Watch, record: r.Record
) -> tuple[Answer, str]:
    """Break it, hold it, heal it, and wait for the steady state; what that came to, and why.

    Raises `FaultError` where it cannot be put in place, and what `Scenes.tick` raises; healed in any case.
    """
    drill = scenes.on()
    faults = faults_of(step, drill.stack)
    hold_s, looked = seconds(step.hold) or 10.0, _Looked(live, step.holds)
    record.add(r.StateChanged(state="injecting"))
    came: bool | None = True
    try:
        with drill.broken(*faults, window=f"step {place}", deadline_s=hold_s + _GRACE_S):
            for fault in faults:
                record.add(r.FaultSeen(step=place, fault=fault.name, target=fault.target, what="injected"))
            record.add(r.StateChanged(state="injected"))
            watch.broken(faults)
            if step.until is not None:
                came, _, _ = scenes.wait(step.until, within_s=hold_s, also=looked.look)
            else:
                scenes.let_pass(hold_s, also=looked.look)
    finally:
        watch.healed(faults)
        doubts = _tell_healed(place, drill, looked.since_ns, record)
    steady, waited_s = scenes.steady(f"after step {place}")
    if steady is False:
        return Answer.FAIL, "the steady state did not come back"
    if looked.wrong is not None:
        return Answer.FAIL, f"while it was broken: {looked.wrong}"
    doubts += ["nobody can say whether the steady state came back"] if steady is None else []
    doubts += [] if came else [f"it never came to {step.until}"]
    doubts += looked.unknown
    if doubts:
        return Answer.INCONCLUSIVE, "; ".join(doubts)
    return Answer.PASS, f"steady again {waited_s:.1f} s after it was healed"


class _Looked:
    """Conditions that have to hold while a fault is in place, from when it is as old as their ``over``."""

    def __init__(self, live: Live, conditions: Sequence[Condition]) -> None:
        self._live, self._conditions = live, conditions
        self.since_ns = now_ns()
        self.wrong: str | None = None
        """The first that did not hold, and what was seen."""
        self._seen: set[int] = set()

    def look(self) -> None:
        """Now."""
        for number, one in enumerate(self._conditions):
            if now_ns() - self.since_ns < NS * (seconds(one.over) or 0.0):
                continue
            reading: Reading = self._live.reading(one, since_ns=self.since_ns)
            if reading.holds is not None:
                self._seen.add(number)
            if reading.holds is False and self.wrong is None:
                self.wrong = f"{one}: {reading.said}"

    @property
    def unknown(self) -> list[str]:
        """Those that were never known while the fault was in place."""
        unseen = [one for number, one in enumerate(self._conditions) if number not in self._seen]
        return [f"nobody can say whether {one} held" for one in unseen]


def _tell_healed(place: str, drill: Drill, since_ns: int, record: r.Record) -> list[str]:
    """Write down what the history has of the step's faults, and give what of it is not proven."""
    told = read_events(drill.journal.path)
    window = {one.lease: one for one in told if isinstance(one, FaultInjected) and one.t_ns >= since_ns}
    doubts = []
    for one in told:
        if not isinstance(one, FaultEvidence | FaultHealed) or one.lease not in window:
            continue
        fault = window[one.lease]
        proof = isinstance(one, FaultEvidence)
        ok, seen = (one.took_effect, one.observed) if isinstance(one, FaultEvidence) else (one.proven, one.proof)
        what = f"{fault.fault} on {fault.target}"
        if not ok:
            doubts.append(f"{what} is not proven to {'have taken effect' if proof else 'be healed'}: {seen}")
        record.add(
            r.FaultSeen(
                step=place,
                fault=fault.fault,
                target=fault.target,
                what="proven" if proof else "healed",
                proven=ok,
                said=seen,
            )
        )
    return doubts
