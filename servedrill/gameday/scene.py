"""A scene: a drill of the playbook's own between two shipped ones, with its traffic, in which faults are held by hand.

It has a history and a verdict like any other drill, and begins only where the steady state is met.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from servedrill.drill.context import Drill
from servedrill.drill.progress import Silent
from servedrill.drill.traffic import burst, chat, code, summary
from servedrill.errors import Unwatched
from servedrill.gameday import record as r
from servedrill.gameday.live import Live, all_hold
from servedrill.gameday.plan import all_steps
from servedrill.gameday.playbook import Condition, Playbook, Traffic, seconds
from servedrill.gameday.view import View
from servedrill.gameday.watch import Watch
from servedrill.host.clock import now_ns
from servedrill.judging.verdict import Verdict
from servedrill.judging.words import decisive
from servedrill.load.messages import Status
from servedrill.load.plan import RequestClass
from servedrill.session.session import Session

TICK_S = 0.1
_CLASSES: dict[str, Callable[..., RequestClass]] = {"chat": chat, "code": code, "summary": summary}


class Stopped(Exception):
    """The day does not go on; why stands in the record."""


class Scenes:
    """One scene at a time, and how time passes in it: whoever waits here hears at once that the day was stopped."""

    def __init__(
        self, playbook: Playbook, path: Path, session: Session, live: Live, watch: Watch, record: r.Record, view: View
    ) -> None:
        self._playbook, self._path, self._session = playbook, path, session
        self._live, self._watch, self._record, self._view = live, watch, record, view
        self._open: contextlib.ExitStack | None = None
        self._drill: Drill | None = None
        self._count = 0
        self._needed = needs_stack(playbook)
        self._lock = threading.Lock()
        """One branch at a time looks after the drill."""

    def on(self) -> Drill:
        """The scene that is on; a new one begins with the steady state, without which nothing is broken."""
        if self._drill is not None:
            return self._drill
        limited = any(step.fault == "memory_ballast" for _, step in all_steps(self._playbook.method))
        self._open = contextlib.ExitStack()
        opened = self._session.open(
            re.sub(r"[^a-z0-9]+", "_", self._playbook.title.lower()).strip("_"),
            hypothesis=self._playbook.steady_state_hypothesis.title,
            nodeid=str(self._path),
            replay=f"servedrill gameday run {self._path}",
            uses=["MemoryLimited"] if limited else [],
            progress=Told(self._live, self._view),
        )
        drill = self._drill = self._open.enter_context(opened)
        self.follow(drill)
        if self._playbook.traffic:
            drill.load(*(class_of(one, "") for one in self._playbook.traffic))
        self._begin()
        return drill

    def ready(self, *, again: bool = False) -> None:
        """Have the steady state met, if it never was; ``again``: with a scene on, where one is needed at all.

        A playbook that only runs commands needs none. Raises `Stopped` where the steady state is not met.
        """
        if self._needed and (again or not self._count):
            self.on()
        elif not self._count:
            self._begin()

    def _begin(self) -> None:
        self._count += 1
        met, _ = self.steady("before" if self._count == 1 else f"before scene {self._count}")
        if met is not True:
            why = "the steady state was not met: nothing is broken on a stack that is not well"
            self._watch.halt(why, by="servedrill")
            raise Stopped

    def end(self) -> None:
        """The scene is over, and judged."""
        scene, drill, self._open, self._drill = self._open, self._drill, None, None
        if scene is None:
            return
        self.follow(None)
        if drill is not None and self._watch.halted:
            self._session.judge(drill, interrupted=str(self._watch.halted))
        with contextlib.suppress(Unwatched):
            scene.close()
        if drill is not None:
            self.judged(drill, self._session.verdicts[-1])

    def follow(self, drill: Drill | None, *, breaks: bool = False) -> None:
        """This drill is looked at from now on; ``breaks``: it breaks things by itself."""
        self._live.follow(drill)
        self._watch.scene(drill, breaks=breaks)

    def judged(self, drill: Drill, verdict: Verdict) -> None:
        """Into the record."""
        self._record.add(r.SceneJudged(folder=drill.folder.name, answer=verdict.answer, said=decisive(verdict)))

    # ---- time

    def steady(self, where: str) -> tuple[bool | None, float]:
        """Whether the steady state is met from now on, waited for as long as the playbook says, and how long it took
        to come.

        What was before does not count: each probe is of what came since, and of as long as its ``over``.
        """
        probes = self._playbook.steady_state_hypothesis
        within_s, began, since_ns = seconds(probes.within) or 30.0, time.monotonic(), now_ns()
        whole_s = max((seconds(one.over) or 0.0 for one in probes.probes if one.sli), default=0.0)
        while True:
            self.let_pass(TICK_S)
            readings = [self._live.reading(one, since_ns=since_ns) for one in probes.probes]
            met, waited_s = all_hold(readings), time.monotonic() - began - whole_s
            if waited_s >= 0 and (met or waited_s > within_s):
                break
        said = "; ".join(f"{probe}: {one.said}" for probe, one in zip(probes.probes, readings, strict=True))
        self._record.add(r.SteadySeen(where=where, met=met, waited_s=round(waited_s, 3), said=said))
        return met, waited_s

    def tick(self) -> None:
        """Look after the drill. Raises what ends the day: `Stopped`, `Unwatched`."""
        self._watch.notice()
        with self._lock:
            if self._drill is not None and not self._watch.halted:
                self._drill.tick()
        if self._watch.halted:
            raise Stopped

    def let_pass(self, wanted_s: float, *, also: Callable[[], None] = lambda: None) -> None:
        """Raises as `tick`."""
        until = time.monotonic() + wanted_s
        while (left_s := until - time.monotonic()) > 0:
            time.sleep(min(TICK_S, left_s))
            self.tick()
            also()

    def wait(
        self, condition: Condition, *, within_s: float, also: Callable[[], None] = lambda: None
    ) -> tuple[bool | None, float, str]:
        """Whether it came to hold, how long that took, and what was seen last. Raises as `tick`."""
        began = time.monotonic()
        while True:
            reading, waited_s = self._live.reading(condition), time.monotonic() - began
            if reading.holds or waited_s > within_s:
                return reading.holds, waited_s, reading.said
            self.let_pass(TICK_S, also=also)


def needs_stack(playbook: Playbook) -> bool:
    """Whether anything of it is about a stack, rather than about commands alone."""
    steps = [step for _, step in all_steps(playbook.method)]
    of_steps = [one for step in steps for one in (step.wait, step.until, *step.holds) if one is not None]
    conditions = [*playbook.steady_state_hypothesis.probes, *playbook.stop_conditions, *of_steps]
    acts = {step.act for step in steps}
    return bool(playbook.traffic or acts & {"drill", "fault", "traffic"} or any(not one.command for one in conditions))


class Told(Silent):
    """A drill's progress, for the view and for what knows of no data."""

    def __init__(self, live: Live, view: View) -> None:
        self._live, self._view = live, view

    def phase(self, name: str, step: str) -> None:
        """A phase of the drill began."""
        self._view.phase(f"{name}: {step}" if step else name)

    def tick(self, status: Status | None) -> None:
        """Time passes."""
        self._live.in_flight = status.in_flight if status is not None else 0
        self._view.status(status)


def class_of(traffic: Traffic, suffix: str) -> RequestClass:
    """The requests of a playbook's traffic; ``suffix`` makes the name another one in each step."""
    name = traffic.name or "-".join(filter(None, (traffic.kind, suffix)))
    if traffic.kind == "burst":
        return burst(traffic.requests, over_s=seconds(traffic.over) or 1.0, name=name)
    return _CLASSES[traffic.kind](rate=traffic.rate, name=name)
