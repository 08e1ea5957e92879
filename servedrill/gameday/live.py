"""What can be seen of a stack while it is broken, and whether a condition holds by it.

Service levels are those of the requests in the drill's own history, read as it grows: of those that ended within the
condition's ``over``. Alerts and health are what the observer saw last.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from servedrill.drill.context import Drill
from servedrill.gameday.playbook import Condition, seconds
from servedrill.host.clock import NS, now_ns
from servedrill.host.output import run_to_end
from servedrill.secrecy.known import cut
from servedrill.stats.percentiles import percentile

_KEPT_S = 600.0
OUTPUT_MAX = 2000
_FRESH_S = 2.0
"""A sample of the observer that is older says nothing of now."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a condition holds: None where nobody can know; ``said`` is what was seen."""

    holds: bool | None
    said: str


class _Ended(msgspec.Struct, frozen=True, gc=False):
    """One request that ended, and was not hung up on by the drill itself."""

    cls: str
    t_ns: int
    good: bool
    ttft_s: float
    e2e_s: float


class _Request(msgspec.Struct, frozen=True):
    """As much of a request's line as is looked at."""

    cls: str = ""
    t_int_ns: int = 0
    t_first_ns: int | None = None
    t_end_ns: int = 0
    failure: str | None = None
    cancelled_ns: int | None = None


class Live:
    """Of one drill after another: `follow` says which."""

    def __init__(self) -> None:
        self._drill: Drill | None = None
        self._since_ns = 0
        self._offset, self._cut = 0, b""
        self._ended: deque[_Ended] = deque()
        self._commands: dict[tuple[str, ...], Command] = {}
        self._decoder = msgspec.json.Decoder(_Request)
        self.in_flight = 0
        """Requests under way by the latest status of the load."""

    @property
    def drill(self) -> Drill | None:
        """The one that is followed."""
        return self._drill

    def follow(self, drill: Drill | None) -> None:
        """Of this drill from now on; None: nothing can be seen."""
        self._drill, self._since_ns = drill, now_ns()
        self._offset, self._cut, self.in_flight = 0, b"", 0
        self._ended.clear()

    def update(self) -> None:
        """Read what is new."""
        drill = self._drill
        if drill is None:
            return
        try:
            with Path(drill.journal.path).open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return
        self._offset += len(new)
        *lines, self._cut = (self._cut + new).split(b"\n")
        for line in lines:
            if line.startswith(b'{"type":"request"'):
                self._take(line)
        old_ns = now_ns() - int(_KEPT_S * NS)
        while self._ended and self._ended[0].t_ns < old_ns:
            self._ended.popleft()

    def _take(self, line: bytes) -> None:
        try:
            one = self._decoder.decode(line)
        except msgspec.MsgspecError:
            return
        if one.cancelled_ns is not None:
            return
        good = one.failure is None
        first_ns = one.t_first_ns or one.t_end_ns
        ttft_s = (first_ns - one.t_int_ns) / NS if good else math.inf
        e2e_s = (one.t_end_ns - one.t_int_ns) / NS if good else math.inf
        self._ended.append(_Ended(one.cls, one.t_end_ns, good, ttft_s, e2e_s))

    # ---- conditions

    def reading(self, condition: Condition, *, since_ns: int = 0) -> Reading:
        """Whether it holds now; of requests that ended after ``since_ns`` only."""
        if condition.sli:
            return self._service(condition, since_ns)
        if condition.command:
            return self._command(condition, since_ns)
        if self._drill is None:
            return Reading(holds=None, said="no stack is watched")
        return self._alert(condition, self._drill) if condition.alert else self._replica(condition, self._drill)

    def _service(self, condition: Condition, since_ns: int) -> Reading:
        over_s = seconds(condition.over) or 0.0
        begin_ns = max(now_ns() - int(over_s * NS), since_ns)
        wanted = set(condition.classes)
        found = [one for one in self._ended if one.t_ns >= begin_ns and (not wanted or one.cls in wanted)]
        name, _, rank = condition.sli.partition("-p")
        if name == "rate":
            if self._drill is None or (now_ns() - self._since_ns) / NS < over_s:
                return Reading(holds=None, said="not yet")
            value, said = len(found) / over_s, f"{len(found) / over_s:.3g} requests/s"
        elif not found:
            return Reading(holds=None, said="no request has ended")
        elif name == "success":
            good = sum(one.good for one in found)
            value, said = good / len(found), f"{good} of {len(found)} answered"
        elif name == "burn":
            bad = sum(not one.good for one in found)
            value = bad / len(found) / (1 - condition.objective)
            said = (
                f"the budget of {condition.objective:g} goes {value:.1f} times too fast ({bad} of {len(found)} failed)"
            )
        else:
            value = percentile([getattr(one, f"{name}_s") for one in found], float(rank))
            said = f"{condition.sli} {value:.3g} s of {len(found)}"
        return Reading(holds=_within(condition, value), said=said)

    def _alert(self, condition: Condition, drill: Drill) -> Reading:
        firing = any(
            one.alert == condition.alert and one.state == "firing" for one in list(drill.observer.alerts.values())
        )
        said = f"{condition.alert} {'fires' if firing else 'does not fire'}"
        return Reading(holds=firing is ((condition.is_ or condition.usual) == "firing"), said=said)

    def _replica(self, condition: Condition, drill: Drill) -> Reading:
        sample = drill.observer.latest.get(condition.replica)
        if sample is None or (now_ns() - sample.t_ns) / NS > _FRESH_S:
            return Reading(holds=None, said=f"nothing is heard of {condition.replica}")
        up = sample.health is not None and 200 <= sample.health < 300
        said = f"{condition.replica} answers {sample.health}" if sample.health else f"{condition.replica} is silent"
        return Reading(holds=up is ((condition.is_ or condition.usual) == "up"), said=said)

    def _command(self, condition: Condition, since_ns: int) -> Reading:
        key = tuple(condition.command)
        if key not in self._commands:
            self._commands[key] = Command(condition.command, every_s=seconds(condition.over) or 5.0)
        ok, said, began_ns = self._commands[key].latest
        ok = ok if began_ns >= since_ns else None
        return Reading(holds=None if ok is None else ok is ((condition.is_ or condition.usual) == "ok"), said=said)

    def close(self) -> None:
        """No command is run any more."""
        for command in self._commands.values():
            command.close()


class Command:
    """A command that is run again and again in a thread of its own, so that nobody waits for it."""

    def __init__(self, argv: list[str], *, every_s: float) -> None:
        self.latest: tuple[bool | None, str, int] = (None, f"{argv[0]} has not ended yet", 0)
        """Whether it ended with 0 (None before the first end, and where it takes too long), what became of it, and when
        it was started."""
        self._argv, self._every_s = argv, every_s
        self._over = threading.Event()
        threading.Thread(target=self._run, name=f"condition {argv[0]}", daemon=True).start()

    def _run(self) -> None:
        while not self._over.is_set():
            began_ns = now_ns()
            ok, said, output = run(self._argv, within_s=max(10.0, self._every_s))
            self.latest = (ok, cut(f"{said} {output}".strip(), 300), began_ns)
            self._over.wait(min(1.0, self._every_s))

    def close(self) -> None:
        """After the run that goes on there is no other."""
        self._over.set()


def run(argv: list[str], *, within_s: float, **env: str) -> tuple[bool | None, str, str]:
    """Whether a command ended with 0 (None: not within ``within_s``, or not started), what became of it, and what it
    said, `OUTPUT_MAX` characters at most."""
    try:
        done = run_to_end(argv, within_s=within_s, env=env)
    except OSError as error:
        return None, f"{argv[0]} cannot be started: {error.strerror}", ""
    if done.met:
        return None, f"{argv[0]}: {done.met}", ""
    output = cut((done.out or done.err).strip(), OUTPUT_MAX)
    return done.status == 0, f"{argv[0]} ended with {done.status}", output


def all_hold(readings: list[Reading]) -> bool | None:
    """False where one does not hold, None where one cannot be known."""
    if any(one.holds is False for one in readings):
        return False
    return None if any(one.holds is None for one in readings) else True


def _within(condition: Condition, value: float) -> bool:
    bounds: list[tuple[Any, Callable[[float], bool]]] = [
        (condition.below, lambda bound: value < bound),
        (condition.above, lambda bound: value > bound),
        (condition.at_least, lambda bound: value >= bound),
        (condition.at_most, lambda bound: value <= bound),
    ]
    return all(test(bound) for given, test in bounds if given is not None and (bound := seconds(given)) is not None)
