"""Experiments of Chaos Toolkit, both ways: run here as a playbook, and a playbook written as one.

An activity becomes a command (`servedrill.gameday.activity`), so whatever a playbook promises holds for it: the steady
state before anything is done, a stop at any moment, a record. Two outcomes are other ones than there: a hypothesis that
is not met before the method is INCONCLUSIVE (there "completed", exit status 0), and a process action that ends with
another status than 0 fails (there "succeeded"). What chaostoolkit-lib 1.44 knows and this does not is refused by name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from servedrill.errors import FileError
from servedrill.files.documents import Document, Kind, read_documents
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key
from servedrill.gameday.playbook import Condition, Playbook, Probes, Step, seconds

FILES = Kind(file="an experiment of Chaos Toolkit", object="title, description, method", otherwise="JSON")
PROVIDERS = ("http", "process", "python")


def is_experiment(value: Any) -> bool:
    """Whether an object is an experiment rather than a playbook: its activities have providers."""
    if not isinstance(value, dict):
        return False
    hypothesis = value.get("steady-state-hypothesis")
    probes = hypothesis.get("probes") if isinstance(hypothesis, dict) else None
    activities = [one for part in (value.get("method"), probes) for one in (part if isinstance(part, list) else [])]
    return any(isinstance(one, dict) and ("provider" in one or "ref" in one) for one in activities)


def read_experiment(path: Path) -> Playbook:
    """As a playbook. Raises `FileError` with everything that cannot be run here."""
    documents, found = read_documents(path, FILES)
    mistakes = Mistakes()
    mistakes.found = found
    playbook = _Reader(mistakes, documents[0], path).read() if documents and not found else None
    if mistakes.found or playbook is None:
        raise FileError(map(str, mistakes.listed([path])))
    return playbook


def written(playbook: Playbook, path: Path, *, stack: str = "") -> dict[str, Any]:
    """The playbook as an experiment: ``chaos run`` plans the day, runs it, and is deviated where it is not proven.

    The day is the hypothesis, looked at after the method: only there does Chaos Toolkit hold a command to its status.
    """
    more = ["--stack", stack] if stack else []

    def probe(name: str, *arguments: str, minutes: float) -> dict[str, Any]:
        provider = {"type": "process", "path": "servedrill", "arguments": [*arguments], "timeout": 60 * minutes}
        return {"type": "probe", "name": name, "tolerance": 0, "provider": provider}

    day = probe("the game day was proven", "gameday", "run", str(path), "--yes", *more, minutes=playbook.minutes or 60)
    steps = [step.title for step in playbook.method]
    heal = {"type": "process", "path": "servedrill", "arguments": ["heal"]}
    return {
        "version": "1.0.0",
        "title": playbook.title,
        "description": playbook.description or playbook.title,
        "tags": playbook.tags,
        "runtime": {"hypothesis": {"strategy": "after-method-only"}, "rollbacks": {"strategy": "always"}},
        "steady-state-hypothesis": {"title": playbook.steady_state_hypothesis.title, "probes": [day]},
        "method": [probe("the day can be carried out", "gameday", "plan", str(path), *more, minutes=2)],
        "rollbacks": [{"type": "action", "name": "heal what is left", "provider": heal}],
        "extensions": [{"name": "servedrill", "playbook": str(path), "steps": steps}],
    }


class _Reader:
    def __init__(self, mistakes: Mistakes, document: Document, path: Path) -> None:
        self._mistakes, self._document, self._path = mistakes, document, path
        self._value: dict[str, Any] = document.value if isinstance(document.value, dict) else {}
        self._named: dict[str, Key] = {}

    def read(self) -> Playbook:
        for part in ("title", "description", "method"):
            if not self._value.get(part) and part != "method":
                self._wrong((), f"{part!r} is missing", expected="a text")
        hypothesis: Any = self._value.get("steady-state-hypothesis") or {}
        probes = hypothesis.get("probes", []) if isinstance(hypothesis, dict) else []
        steady = [self._probe(("steady-state-hypothesis", "probes", number), one) for number, one in enumerate(probes)]
        title = str(hypothesis.get("title", "")) if isinstance(hypothesis, dict) else ""
        method = [step for key, one in self._activities("method") for step in self._steps(key, one)]
        rollbacks = [step for key, one in self._activities("rollbacks") for step in self._steps(key, one) if step.hook]
        for part in ("controls", "secrets"):
            if self._value.get(part):
                self._wrong((part,), "cannot be run here", expected="controls and vaults stay with chaostoolkit-lib")
        return Playbook(
            title=str(self._value.get("title", "")),
            description=str(self._value.get("description", "")),
            tags=[str(one) for one in self._value.get("tags", [])],
            steady_state_hypothesis=Probes(title=title, probes=[one for one in steady if one]),
            method=method,
            rollbacks=rollbacks,
        )

    def _activities(self, part: str) -> Iterator[tuple[Key, Any]]:
        for number, one in enumerate(self._value.get(part) or []):
            yield (part, number), one

    def _steps(self, key: Key, activity: Any) -> list[Step]:
        """One activity with its pauses."""
        if not self._known(key, activity):
            return []
        pauses = activity.get("pauses") or {}
        before = [Step(pause=pauses["before"])] if seconds(pauses.get("before", 0)) else []
        after = [Step(pause=pauses["after"])] if seconds(pauses.get("after", 0)) else []
        within = activity.get("provider", {}).get("timeout") or 600
        step = Step(hook=self._command(key), expected=str(activity.get("name", "")), within=float(within))
        return [*before, step, *after]

    def _probe(self, key: Key, activity: Any) -> Condition | None:
        if not self._known(key, activity):
            return None
        if "tolerance" not in activity:
            self._wrong(key, "a probe without a tolerance", expected="tolerance: what it has to come to")
            return None
        return Condition(name=str(activity.get("name", "")), command=self._command(key), over="1s")

    def _known(self, key: Key, activity: Any) -> bool:
        if not isinstance(activity, dict):
            self._wrong(key, "is no activity", expected="type, name, provider")
            return False
        if "ref" in activity:
            self._wrong((*key, "ref"), "a reference", expected="the activity itself, with its provider")
            return False
        kind = (activity.get("provider") or {}).get("type")
        if kind not in PROVIDERS:
            self._wrong((*key, "provider"), f"a provider of type {kind!r}", expected=", ".join(PROVIDERS))
            return False
        if activity.get("background"):
            self._wrong((*key, "background"), "in the background", expected="one activity after another")
            return False
        return True

    def _command(self, key: Key) -> list[str]:
        place = "/".join(map(str, key))
        return [sys.executable, "-m", "servedrill.gameday.activity", str(self._path.absolute()), place]

    def _wrong(self, key: Key, what: str, *, expected: str) -> None:
        self._mistakes.wrong(self._document, key, what, expected=expected)
