"""The watch: looks ten times a second whether the day has to be stopped, and stops it.

Stopping is pulling the lever of the run: the watchdog undoes every fault at once, and the director hears of it at its
next tick.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from servedrill.drill.context import Drill
from servedrill.faults.fault import Fault
from servedrill.gameday import record as r
from servedrill.gameday.live import Live
from servedrill.gameday.playbook import Condition, Playbook, seconds
from servedrill.gameday.view import View
from servedrill.history.events import FaultHealed
from servedrill.history.journal import read_events
from servedrill.host.clock import NS, now_ns
from servedrill.leases.lever import Halt, pull, pulled_for, user

EVERY_S = 0.1


class Watch:
    """A thread inside its block."""

    def __init__(self, playbook: Playbook, live: Live, record: r.Record, view: View, *, folder: Path) -> None:
        self._playbook, self._live, self._record, self._view, self._folder = playbook, live, record, view, folder
        self.halted: Halt | None = None
        self._halted_ns = 0
        self.broken_ns = 0
        """Since when the latest faults are in place."""
        self._signalled = ""
        self._broken: set[str] = set()
        self._drill: Drill | None = None
        self._breaks = False
        self._history: Path | None = None
        """Of the latest drill."""
        self._known: set[str] = set()
        self._unknown_since: dict[int, float] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._record.hear()

    # ---- what the director tells

    def scene(self, drill: Drill | None, *, breaks: bool = False) -> None:
        """This drill is on; ``breaks``: it breaks things by itself."""
        self._drill, self._breaks = drill, breaks
        self._history = drill.journal.path if drill is not None else self._history
        self._unknown_since.clear()
        self._known = self._firing()
        self.broken_ns = now_ns()

    def broken(self, faults: Sequence[Fault]) -> None:
        """They are in place."""
        self._known, self.broken_ns = self._firing(), now_ns()
        self._broken |= {f"{fault.name} on {fault.target}" for fault in faults}
        self._view.broken(sorted(self._broken))

    def healed(self, faults: Sequence[Fault]) -> None:
        """They are healed, as far as that can be done."""
        self._broken -= {f"{fault.name} on {fault.target}" for fault in faults}
        self._view.broken(sorted(self._broken))

    def halt(self, reason: str, *, by: str, measured: bool = False) -> None:
        """Stop the day; only the first time counts."""
        with self._lock:
            if self.halted is not None:
                return
            self._halted_ns = now_ns()
            self.halted = Halt(reason=reason, by=by)
            with contextlib.suppress(Exception):  # on a full disk the director stops all the same
                self.halted = pull(self._folder, reason=reason, by=by)
        self._record.add(r.Halted(reason=reason, by=by, measured=measured))

    def halt_soon(self, reason: str) -> None:
        """As `halt`, from a signal's handler, which may wait for nothing: the thread does it."""
        self._signalled = reason

    def notice(self) -> None:
        """Somebody pulled the lever elsewhere."""
        if halt := pulled_for(self._folder):
            self.halt(halt.reason, by=halt.by)

    def healed_after_s(self) -> float:
        """From the stop until the last fault was proven to be healed; 0 where none was in place."""
        if self._history is None:
            return 0.0
        healed = [one.t_ns for one in read_events(self._history) if isinstance(one, FaultHealed)]
        return round(max(0, *(t_ns - self._halted_ns for t_ns in healed), 0) / NS, 3)

    # ---- the thread

    def _run(self) -> None:
        while not self._over.wait(EVERY_S):
            self._record.hear()
            self._live.update()
            if self._signalled:
                self.halt(self._signalled, by="the system")
            if self.halted is None:
                self.notice()
                self._look_at_conditions()
                self._look_at_alerts()
            if self._view.pressed() == "h":
                self.halt("the key h", by=user())
            self._view.readings(
                [(str(one), self._live.reading(one)) for one in self._playbook.steady_state_hypothesis.probes]
            )

    def _look_at_conditions(self) -> None:
        if self._drill is None:
            return
        for number, condition in enumerate(self._playbook.stop_conditions):
            reading = self._live.reading(condition)
            if reading.holds:
                self.halt(
                    f"{condition}: {reading.said}", by="stop condition", measured=bool(self._broken) or self._breaks
                )
            elif reading.holds is None and condition.no_data == "halt" and self._should_know(condition):
                since = self._unknown_since.setdefault(number, time.monotonic())
                if time.monotonic() - since > max(2.0, seconds(condition.over) or 0.0):
                    self.halt(f"no data for {condition}: {reading.said}", by="stop condition")
            else:
                self._unknown_since.pop(number, None)

    def _should_know(self, condition: Condition) -> bool:
        """Of requests only while some are under way; a command that takes its time has that time."""
        return self._live.in_flight > 0 if condition.sli else True

    def _look_at_alerts(self) -> None:
        firing = self._firing()
        if self._broken or self._breaks:
            for alert in sorted(firing - self._known):
                after_s = (now_ns() - self.broken_ns) / NS
                self._record.add(r.Noted(text=f"{alert} fires after {after_s:.1f} s", by=alert, what="detected"))
        self._known |= firing

    def _firing(self) -> set[str]:
        drill = self._drill
        return {one.alert for one in list(drill.observer.alerts.values()) if one.state == "firing"} if drill else set()
