"""Reads playbooks: all that is wrong with one is said at once, with line and column, before anything starts.

What can only be known of a stack, which replicas there are and what can be done to them, is said by the plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from servedrill.errors import FileError
from servedrill.faults.named import NAMED
from servedrill.files.documents import Document, Kind, read_documents
from servedrill.files.meant import meant
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key, Mistake
from servedrill.gameday.chaostoolkit import is_experiment, read_experiment
from servedrill.gameday.drills import find_drill, shipped_drills
from servedrill.gameday.hours import HOURS_FORM, Hours
from servedrill.gameday.playbook import (
    ACTS,
    DURATION_FORM,
    Condition,
    Playbook,
    Step,
    Traffic,
    seconds,
)

FILES = Kind(file="a playbook", object="title, steady-state-hypothesis, method", otherwise="YAML")
OUTPUTS = ("answer", "output", "seconds", "verdict", "status")
"""What a step leaves behind."""
SLI = re.compile(r"success|rate|burn|(?:ttft|e2e)-p(?:[1-9]\d?)(?:\.\d)?")
SLI_FORM = "success, rate, burn, ttft-p95 or e2e-p95 (any percentile)"
REFERENCE = re.compile(r"\$\{([^}]*)\}")
_SECONDS_MAX = 24 * 3600.0
_NAME = re.compile(r"[\w-]{1,60}")
_ASIDE = ("fault", "wait", "hook", "pause")
"""What branches side by side may do."""
_IS = {"alert": ("firing", "silent"), "replica": ("up", "down"), "command": ("ok", "failing")}


def read_playbook(path: Path) -> Playbook:
    """Of a playbook, or of an experiment of Chaos Toolkit. Raises `FileError` with every mistake in it."""
    documents, _ = read_documents(path, FILES)
    if documents and is_experiment(documents[0].value):
        return read_experiment(path)
    playbook, mistakes = _read(path)
    if mistakes:
        raise FileError(map(str, mistakes))
    return playbook


def check_playbooks(paths: Sequence[Path]) -> list[Mistake]:
    """Every mistake in the files, one file after the other, from top to bottom."""
    return [mistake for path in paths for mistake in _read(path)[1]]


def _read(path: Path) -> tuple[Playbook, list[Mistake]]:
    nothing = Playbook(title="", steady_state_hypothesis={}, method=[])  # type: ignore[arg-type]
    mistakes = Mistakes()
    documents, mistakes.found = read_documents(path, FILES)
    if not documents:
        return nothing, mistakes.listed([path])
    for another in documents[1:]:
        mistakes.wrong(another, (), "another playbook", expected="one in a file")
    if not isinstance(documents[0].value, dict):
        mistakes.wrong(documents[0], (), "is no object", expected=FILES.object)
        return nothing, mistakes.listed([path])
    playbook, document = mistakes.read(documents[0], Playbook)
    _Rules(mistakes, document, path).check(playbook)
    return playbook, mistakes.listed([path])


class _Rules:
    """What a playbook has to mean; each rule notes what is wrong with the value at its key."""

    def __init__(self, mistakes: Mistakes, document: Document, path: Path) -> None:
        self._mistakes, self._document, self._folder = mistakes, document, path.parent
        self._names: set[str] = set()
        """Of steps before the one that is looked at."""

    def check(self, playbook: Playbook) -> None:
        if not playbook.title.strip():
            self._wrong(("title",), "is empty", expected="what the day is called")
        if not playbook.method:
            self._wrong(("method",), "has no step", expected="at least one")
        steady: Key = ("steady-state-hypothesis",)
        if not playbook.steady_state_hypothesis.probes:
            self._wrong(
                (*steady, "probes"), "has no probe", expected="at least one: what is never looked at never holds"
            )
        for key, condition in self._conditions((*steady, "probes"), playbook.steady_state_hypothesis.probes):
            self._condition(key, condition)
        self._duration((*steady, "within"), playbook.steady_state_hypothesis.within)
        for key, condition in self._conditions(("stop-conditions",), playbook.stop_conditions):
            self._condition(key, condition)
        for number, traffic in enumerate(playbook.traffic):
            self._traffic(("traffic", number), traffic, steady=True)
        self._radius(playbook)
        for number, step in enumerate(playbook.method):
            self._step(("method", number), step, playbook.roles)
        for number, step in enumerate(playbook.rollbacks):
            self._step(("rollbacks", number), step, playbook.roles, only=("hook",))

    def _radius(self, playbook: Playbook) -> None:
        radius, key = playbook.blast_radius, ("blast-radius",)
        if radius.replicas < 1:
            self._wrong((*key, "replicas"), f"{radius.replicas}", expected="1 or more")
        if not 0 < radius.share <= 1:
            self._wrong((*key, "share"), f"{radius.share}", expected="more than 0, at most 1")
        if radius.keep_healthy < 0:
            self._wrong((*key, "keep-healthy"), f"{radius.keep_healthy}", expected="0 or more")
        if radius.hours and Hours.parse(radius.hours) is None:
            self._wrong((*key, "hours"), f"{radius.hours!r}", expected=HOURS_FORM)
        for number, one in enumerate(playbook.exclusions):
            instants = {}
            for word, text in (("from", one.begin), ("until", one.until)):
                try:
                    instants[word] = datetime.fromisoformat(text)
                except ValueError:
                    self._wrong(
                        ("exclusions", number, word), f"{text!r}", expected="a day or an instant, as 2027-01-02"
                    )
            if len(instants) == 2 and str(one.begin) > str(one.until):
                self._wrong(("exclusions", number, "until"), f"{one.until!r}", expected=f"no earlier than {one.begin}")

    # ---- steps

    def _step(self, key: Key, step: Step, roles: dict[str, str], *, only: Sequence[str] = ACTS) -> None:
        acts = step.acts
        if len(acts) != 1:
            what = f"does {' and '.join(acts)}" if acts else "does nothing"
            self._wrong(key, what, expected=f"exactly one of {', '.join(only)}")
            return
        if step.act not in only:
            self._wrong((*key, step.act), "has no place here", expected=f"one of {', '.join(only)}")
            return
        if step.role and step.role not in roles:
            hint = meant(step.role, roles)
            self._wrong(
                (*key, "role"), f"nobody is {step.role!r}", expected=f"one of roles: {', '.join(roles)}", hint=hint
            )
        for word in ("hold", "within", "pause"):
            if (duration := getattr(step, word)) is not None:
                self._duration((*key, word), duration)
        for word in ("wait", "until"):
            if (condition := getattr(step, word)) is not None:
                self._condition((*key, word), condition)
        for inner, condition in self._conditions((*key, "holds"), step.holds):
            self._condition(inner, condition)
        self._act(key, step, roles)
        self._references(key)
        if step.name:
            if not _NAME.fullmatch(step.name) or step.name in self._names:
                what = "twice" if step.name in self._names else "is no name"
                self._wrong((*key, "name"), f"{step.name!r} {what}", expected="letters, digits, - and _, once")
            self._names.add(step.name)

    def _act(self, key: Key, step: Step, roles: dict[str, str]) -> None:
        match step.act:
            case "drill":
                self._drill(key, step)
            case "fault":
                self._fault(key, step)
            case "hook" if not step.hook:
                self._wrong((*key, "hook"), "is empty", expected="a program and its arguments")
            case "traffic":
                for number, traffic in enumerate(step.traffic or []):
                    self._traffic((*key, "traffic", number), traffic, steady=False)
            case "parallel":
                for branch, steps in enumerate(step.parallel or []):
                    for number, one in enumerate(steps):
                        self._step((*key, "parallel", branch, number), one, roles, only=_ASIDE)

    def _drill(self, key: Key, step: Step) -> None:
        assert step.drill is not None
        if find_drill(step.drill, self._folder) is None:
            self._wrong(
                (*key, "drill"),
                f"no drill {step.drill!r}",
                expected=f"{', '.join(shipped_drills())}, or FILE::FUNCTION",
                hint=meant(step.drill, shipped_drills()),
            )

    def _fault(self, key: Key, step: Step) -> None:
        fault = NAMED.get(step.fault or "")
        if fault is None:
            expected = f"one of {', '.join(NAMED)}"
            self._wrong(
                (*key, "fault"), f"no fault {step.fault!r}", expected=expected, hint=meant(step.fault or "", NAMED)
            )
            return
        if not step.on:
            self._wrong(key, "'on' is missing", expected="what it is done to: engine-0, engine, engines ...")
        for name, (what, expected) in fault.mistakes(step.with_).items():
            at = (*key, "with", name) if name in step.with_ else key
            self._wrong(at, what if name in step.with_ else f"'with: {name}' {what}", expected=expected)

    def _references(self, key: Key) -> None:
        """``${name.field}`` has to name a step before this one."""
        value: Any = self._document.value
        for part in key:
            value = value[part]
        for inner, text in _texts(value, key):
            if "parallel" in inner[len(key) :]:
                continue  # looked at with the steps in it
            for said in REFERENCE.findall(text):
                name, _, field = said.partition(".")
                if name not in self._names or field not in OUTPUTS:
                    expected = f"${{name.field}} of an earlier step, with {', '.join(OUTPUTS)}"
                    self._wrong(
                        inner, f"${{{said}}} is not known here", expected=expected, hint=meant(name, self._names)
                    )

    # ---- parts

    def _conditions(self, key: Key, conditions: Sequence[Condition]) -> Iterator[tuple[Key, Condition]]:
        for number, condition in enumerate(conditions):
            yield (*key, number), condition

    def _condition(self, key: Key, condition: Condition) -> None:
        about = [word for word in ("sli", "alert", "replica", "command") if getattr(condition, word)]
        if len(about) != 1:
            said = f"about {' and '.join(about)}" if about else "about nothing"
            self._wrong(key, said, expected="exactly one of sli, alert, replica, command")
            return
        self._duration((*key, "over"), condition.over)
        bounds = [word for word in ("below", "above", "at_least", "at_most") if getattr(condition, word) is not None]
        for word in bounds:
            self._duration((*key, word.replace("_", "-")), getattr(condition, word), least=0.0)
        if about == ["sli"]:
            if not SLI.fullmatch(condition.sli):
                hint = meant(condition.sli, ["success", "rate", "burn", "ttft-p95", "e2e-p95"])
                self._wrong((*key, "sli"), f"no SLI {condition.sli!r}", expected=SLI_FORM, hint=hint)
            if not 0 < condition.objective < 1:
                self._wrong((*key, "objective"), f"{condition.objective}", expected="more than 0, less than 1")
            if not bounds:
                self._wrong(key, "has no bound", expected="below, above, at-least or at-most")
            if condition.is_:
                self._wrong((*key, "is"), f"{condition.is_!r} of an SLI", expected="below, above, at-least or at-most")
        elif bounds:
            self._wrong((*key, bounds[0].replace("_", "-")), f"a bound of {about[0]}", expected="is: ...")
        elif condition.is_ and condition.is_ not in _IS[about[0]]:
            self._wrong((*key, "is"), f"{condition.is_!r} of {about[0]}", expected=" or ".join(_IS[about[0]]))

    def _traffic(self, key: Key, traffic: Traffic, *, steady: bool) -> None:
        if traffic.kind == "burst":
            if traffic.requests < 1:
                self._wrong(key, f"{traffic.requests} requests", expected="requests: 1 or more")
            if steady:
                self._wrong((*key, "kind"), "a burst all the time", expected="chat, code or summary, with a rate")
        elif not 0 < traffic.rate <= 10_000:
            self._wrong(key, f"a rate of {traffic.rate:g} a second", expected="rate: more than 0")
        self._duration((*key, "over"), traffic.over)

    def _duration(self, key: Key, duration: Any, *, least: float = 0.001) -> None:
        length = seconds(duration)
        if length is None or not least <= length <= _SECONDS_MAX:
            self._wrong(key, f"{duration!r}", expected=DURATION_FORM)

    def _wrong(self, key: Key, what: str, *, expected: str, hint: str = "") -> None:
        self._mistakes.wrong(self._document, key, what, expected=expected, hint=hint)


def _texts(value: Any, key: Key) -> Iterator[tuple[Key, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(one, (*key, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _texts(one, (*key, number))
