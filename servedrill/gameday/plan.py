"""The plan: what a playbook comes to on a stack, before anything is broken, and frozen by its hash.

Targets are resolved and permissions tried on the running stack: each fault is made, and says how it would be undone;
none is injected. A stack of servedrill's own kinds is started for it and ended again; one of somebody else's is only
asked how it talks.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from servedrill._version import __version__
from servedrill.errors import ServedrillError, UsageError
from servedrill.faults.fault import Fault
from servedrill.faults.named import NAMED
from servedrill.files.regular import read_regular
from servedrill.files.shipped import shipped
from servedrill.gameday.drills import FoundDrill, capabilities, find_drill
from servedrill.gameday.playbook import Condition, Playbook, Step, seconds
from servedrill.gameday.reading import read_playbook
from servedrill.slo.openslo import read_slos
from servedrill.slo.slo import Slo, defaults
from servedrill.stacks.capabilities import lacking
from servedrill.stacks.file import StackFile
from servedrill.stacks.protocols import Stack

DRILL_S = 20.0
"""What a shipped drill takes on the embedded stack, about; at the stack's pace elsewhere."""
_GROUPS = {"engine": "engine", "engines": "engine", "gateway": "gateway", "gateways": "gateway"}


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step as it would happen."""

    step: str
    title: str
    act: str
    expected: str = ""
    runbook: str = ""
    targets: list[str] = []
    undo: list[str] = []
    """How a fault would be undone, by whom ever."""
    seconds: float = 0.0
    """That something is broken; of other steps, how long they take at most."""
    breaks: bool = False
    lacks: str = ""
    """Why it cannot be done on this stack."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was known when people said yes."""

    title: str
    playbook: str
    stack: str
    stack_file: str = ""
    environment: str = "local"
    blast_radius: str = ""
    minutes: float = 0.0
    steps: list[PlannedStep] = []
    budget: dict[str, float] = {}
    """SLO -> the share of its period's error budget that is gone if nobody is served while anything is broken."""
    pieces: dict[str, str] = {}
    """What it depends on -> its SHA-256, or its version."""
    troubles: list[str] = []
    """Why it cannot be run as it is."""

    @property
    def hash(self) -> str:
        """Of all that people said yes to; pids and the like are others each time."""
        steps = [msgspec.structs.replace(step, undo=[]) for step in self.steps]
        told = msgspec.structs.replace(self, steps=steps)
        return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:16]

    @property
    def broken_s(self) -> float:
        """How long something is broken, in all."""
        return sum(step.seconds for step in self.steps if step.breaks)


def pieces_of(playbook: Playbook, path: Path, *, stack_file: str, slo_file: str) -> dict[str, str]:
    """What a plan depends on, as it is now: whatever of it changes makes the plan another one."""
    files = {"playbook": path, "stack file": Path(stack_file or "-"), "SLO file": Path(slo_file or "-")}
    for _, step in all_steps(playbook.method):
        if step.drill and (found := find_drill(step.drill, path.parent)) is not None:
            files[f"drill {step.drill}"] = found.file
    found_pieces = {name: _digest(shipped(file)) for name, file in files.items() if str(file) != "-"}
    return found_pieces | {"servedrill": __version__}


def make_plan(path: Path, stack: Stack, file: StackFile, *, stack_file: str, slo_file: str) -> Plan:
    """The plan of a playbook on a stack that is up; what keeps it from being run is in ``troubles``.

    Raises `FileError` for a playbook with mistakes.
    """
    playbook = read_playbook(path)
    planner = _Planner(playbook, path, stack)
    steps = [planner.step(name, step) for name, step in all_steps(playbook.method)]
    broken_s = sum(step.seconds for step in steps if step.breaks)
    slos = read_slos(Path(slo_file)).slos if slo_file else defaults()
    radius = playbook.blast_radius
    said = (
        f"{radius.replicas} replica{'' if radius.replicas == 1 else 's'} at once, at most {radius.share:.0%} of a role"
    )
    if radius.keep_healthy:
        said += f", and {radius.keep_healthy} of each role stays whole"
    return Plan(
        title=playbook.title,
        playbook=str(path),
        stack=stack.name,
        stack_file=stack_file,
        environment=file.environment,
        blast_radius="; ".join(filter(None, (said, file.blast_radius))),
        minutes=playbook.minutes,
        steps=steps,
        budget={slo.name: _share(slo, broken_s) for slo in slos},
        pieces=pieces_of(playbook, path, stack_file=stack_file, slo_file=slo_file),
        troubles=planner.troubles,
    )


def all_steps(steps: Sequence[Step], before: str = "") -> Iterator[tuple[str, Step]]:
    """Each step with its place, those of branches after the one that they are in."""
    for number, step in enumerate(steps):
        place = f"{before}{number + 1}"
        yield place, step
        for branch, inner in enumerate(step.parallel or []):
            yield from all_steps(inner, f"{place}.{branch + 1}.")


def targets_of(step: Step, stack: Stack) -> list[str]:
    """Names of replicas or hops. Raises `UsageError` for one that the stack does not have."""
    said = [step.on] if isinstance(step.on, str) else step.on
    found: list[str] = []
    replicas = stack.replicas()
    hops = list(getattr(stack, "hops", list)())
    for one in said:
        of_role = [replica.name for replica in replicas if replica.role == _GROUPS.get(one)]
        names = of_role[:1] if one in ("engine", "gateway") else of_role
        if not names and one in {*hops, *(replica.name for replica in replicas)}:
            names = [one]
        if not names:
            known = [*_GROUPS, *(replica.name for replica in replicas)]
            raise UsageError(
                f"no {one!r} in stack {stack.name!r}", where=f"step {step.title!r}", expected=", ".join(known)
            )
        found += names
    return list(dict.fromkeys(found))


def faults_of(step: Step, stack: Stack) -> list[Fault]:
    """The faults of a step, made and not injected. Raises `ServedrillError` where one cannot be made."""
    named = NAMED[step.fault or ""]
    return [named.make(stack, target, **step.with_) for target in targets_of(step, stack)]


class _Planner:
    """Looks at each step on the stack."""

    def __init__(self, playbook: Playbook, path: Path, stack: Stack) -> None:
        self._playbook, self._path, self._stack = playbook, path, stack
        self.troubles: list[str] = []
        self._look_at_conditions(playbook)

    def step(self, place: str, step: Step) -> PlannedStep:
        targets, undo, lacks, length_s, breaks = list[str](), list[str](), "", 0.0, False
        if step.act == "fault":
            targets, undo, lacks = self._fault(step)
            length_s, breaks = seconds(step.hold) or 0.0, True
            self._radius(place, step, targets)
        elif step.act == "drill":
            lacks = self._drill(step)
            length_s, breaks = DRILL_S * self._stack.promises.pace, True
        elif step.act in ("wait", "hook"):
            length_s = seconds(step.within) or 0.0
        elif step.act == "pause":
            length_s = seconds(step.pause or 0) or 0.0
        elif step.act == "parallel":
            self._side_by_side(place, step)
        if lacks:
            self.troubles.append(f"step {place} ({step.title}) cannot be done here: {lacks}")
        return PlannedStep(
            step=place,
            title=step.title,
            act=step.act,
            expected=step.expected,
            runbook=step.runbook,
            targets=targets,
            undo=undo,
            seconds=length_s,
            breaks=breaks,
            lacks=lacks,
        )

    def _fault(self, step: Step) -> tuple[list[str], list[str], str]:
        needs = NAMED[step.fault or ""].needs
        try:
            targets = targets_of(step, self._stack)
            if lack := lacking(self._stack, needs):
                return targets, [], lack
            faults = faults_of(step, self._stack)
            return targets, [_told(undo) for fault in faults for undo in fault.undo()], ""
        except (ServedrillError, ValueError, TypeError, StopIteration) as error:
            return [], [], str(error) or repr(error)

    def _drill(self, step: Step) -> str:
        found = find_drill(step.drill or "", self._path.parent)
        assert found is not None
        try:
            function = found.load()
        except UsageError as error:
            return str(error)
        needs = capabilities(function, "drill_needs")
        return next(filter(None, (lacking(self._stack, need) for need in needs)), "")

    def _radius(self, place: str, step: Step, targets: list[str]) -> None:
        radius = self._playbook.blast_radius
        roles = {replica.name: replica.role for replica in self._stack.replicas()}
        hit = Counter(roles[target] for target in targets if target in roles)
        if len(targets) > radius.replicas:
            self.troubles.append(
                f"step {place} ({step.title}) breaks {len(targets)} at once; "
                f"blast-radius: replicas allows {radius.replicas}"
            )
        for role, count in hit.items():
            there = sum(one == role for one in roles.values())
            if count > radius.share * there or there - count < radius.keep_healthy:
                self.troubles.append(
                    f"step {place} ({step.title}) breaks {count} of {there} {role}s; blast-radius allows a share of "
                    f"{radius.share:.0%} and keeps {radius.keep_healthy} healthy"
                )

    def _side_by_side(self, place: str, step: Step) -> None:
        together = [
            target
            for branch in step.parallel or []
            for one in branch
            if one.act == "fault"
            for target in self._names(one)
        ]
        self._radius(place, step, list(dict.fromkeys(together)))

    def _names(self, step: Step) -> list[str]:
        try:
            return targets_of(step, self._stack)
        except UsageError:
            return []  # told with the step itself

    def _look_at_conditions(self, playbook: Playbook) -> None:
        steps = [step for _, step in all_steps(playbook.method)]
        of_steps = [one for step in steps for one in (step.wait, step.until, *step.holds) if one is not None]
        conditions: list[Condition] = [*playbook.steady_state_hypothesis.probes, *playbook.stop_conditions, *of_steps]
        names = {replica.name for replica in self._stack.replicas()}
        for condition in conditions:
            if condition.alert and (lack := lacking(self._stack, "Alerting")):
                self.troubles.append(f"{condition} can never be known: {lack}")
            if condition.replica and condition.replica not in names:
                self.troubles.append(
                    f"{condition}: no replica {condition.replica!r}; there are {', '.join(sorted(names))}"
                )


def _told(undo: Any) -> str:
    """One undo record, for people: ``http_call DELETE /proxies/engine-0/toxics/x``."""
    said: dict[str, Any] = msgspec.to_builtins(undo)
    kind = said.pop("undo")
    words = [f"{name} {value}" for name, value in said.items() if value not in ("", False, None) and name != "body"]
    return " ".join([kind.replace("_", " "), *words])


def _share(slo: Slo, broken_s: float) -> float:
    """If nobody were served as long as anything is broken: bad seconds of those that the period allows."""
    allowed_s = (1 - slo.target) * slo.period_s
    return broken_s / allowed_s if allowed_s else float("inf")


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_regular(path)).hexdigest()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path), expected="a file of the plan") from error


def found_drill(step: Step, folder: Path) -> FoundDrill:
    """The drill of a step that was read."""
    found = find_drill(step.drill or "", folder)
    assert found is not None
    return found
