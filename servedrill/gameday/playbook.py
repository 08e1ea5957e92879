"""Playbooks: what a game day does, as people write it in YAML.

The words are those that the field knows: title, tags, steady-state-hypothesis, method, rollbacks, controls from Chaos
Toolkit; the kinds of game day, roles, dashboards, runbooks from Gremlin; stop conditions from AWS FIS; exclusion
windows from Google Cloud. A step is told by the one thing that it does: ``drill``, ``fault``, ``traffic``, ``wait``,
``ask``, ``hook``, ``pause`` or ``parallel``.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import msgspec

Duration: TypeAlias = str | int | float
"""``500ms``, ``5s``, ``10m``, ``1h``; a bare number is seconds."""
DURATION_FORM = "a duration such as 500ms, 5s, 10m or 1h"
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s?(ms|s|m|h)")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
Kind: TypeAlias = Literal["exploratory", "train-teams", "validate-past-outage", "tune-observability", "other"]
ACTS = ("drill", "fault", "traffic", "wait", "ask", "hook", "pause", "parallel")
"""A step has exactly one of these."""


def seconds(duration: Duration) -> float | None:
    """None where it is no duration."""
    if isinstance(duration, int | float):
        return float(duration)
    match = _DURATION.fullmatch(duration.strip())
    return float(match[1]) * _UNITS_S[match[2]] if match else None


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", omit_defaults=True):
    pass


class Condition(_Part, frozen=True):
    """Something that holds, does not hold, or cannot be known; about one of ``sli``, ``alert``, ``replica``,
    ``command``."""

    name: str = ""
    sli: str = ""
    """``success`` (ratio), ``ttft-p95`` or ``e2e-p50`` (s, any percentile; failed requests are the worst), ``rate``
    (requests a second), ``burn`` (how many times too fast the error budget of ``objective`` goes): of the requests that
    ended within ``over``."""
    classes: list[str] = []
    """Of an SLI: only requests of these classes; empty: all."""
    objective: float = 0.99
    """Of ``burn``: the share of requests that has to be answered."""
    below: Duration | None = None
    above: Duration | None = None
    at_least: Duration | None = None
    at_most: Duration | None = None
    over: Duration = "5s"
    alert: str = ""
    """An alert's name; ``is: firing`` (the default) or ``silent``."""
    replica: str = ""
    """A replica's name; ``is: down`` or ``up`` (the default) by its health."""
    command: list[str] = []
    """Run without a shell every ``over``; ``is: failing`` or ``ok`` (the default) by its exit status."""
    is_: Literal["firing", "silent", "up", "down", "ok", "failing"] | None = msgspec.field(name="is", default=None)
    no_data: Literal["halt", "ignore"] = "halt"
    """Of a stop condition: what follows when it cannot be known for as long as ``over``."""

    def __str__(self) -> str:
        if self.sli:
            bounds = {"below": self.below, "above": self.above, "at least": self.at_least, "at most": self.at_most}
            said = " and ".join(f"{word} {value}" for word, value in bounds.items() if value is not None)
            return self.name or f"{self.sli} {said} over {self.over}"
        what = self.alert or self.replica or " ".join(self.command)
        return self.name or f"{what} {self.is_ or self.usual}"

    @property
    def usual(self) -> str:
        """What ``is`` means where it is not said."""
        return "firing" if self.alert else "up" if self.replica else "ok"


class Probes(_Part, frozen=True):
    """A steady state: it is met when all of its probes hold."""

    title: str
    probes: list[Condition]
    within: Duration = "30s"
    """How long it is waited for: before the method, and after each fault."""


class Traffic(_Part, frozen=True):
    """Requests of one class: ``rate`` a second all the time, or ``requests`` at once, ``over`` a stretch of time."""

    kind: Literal["chat", "code", "summary", "burst"]
    rate: float = 0.0
    requests: int = 0
    over: Duration = "1s"
    name: str = ""


class BlastRadius(_Part, frozen=True):
    """What may be broken at once, and when."""

    replicas: int = 1
    share: float = 1.0
    """Of the replicas of a role, 0 to 1."""
    keep_healthy: int = 1
    """Replicas of each role that no fault of the method may touch at the same time."""
    hours: str = ""
    """``Mon-Fri 09:00-17:00 Europe/Berlin``; empty: at any time."""


class Exclusion(_Part, frozen=True):
    """A stretch of time in which nothing may start."""

    begin: str = msgspec.field(name="from")
    """A day or an instant, ISO 8601; a day is a day in UTC."""
    until: str
    why: str


class Controls(_Part, frozen=True):
    """Commands around every step of the method; they are told of it in ``SERVEDRILL_STEP``."""

    before: list[str] = []
    after: list[str] = []


class Step(_Part, frozen=True):
    """One thing to do. What it came to can be used in later steps: ``${name.answer}``, ``${name.output}``,
    ``${name.seconds}``, ``${name.verdict}``."""

    name: str = ""
    expected: str = ""
    """In words, before it happens: what everybody thinks that will be seen."""
    role: str = ""
    """Who does it, or is asked."""
    runbook: str = ""

    drill: str | None = None
    """A shipped drill by name (``timeout_spike``), or one of your own, ``drills/test_it.py::test_it``."""
    fault: str | None = None
    """By name, see docs/playbooks.md; held for ``hold``, until ``until`` holds, or until somebody says so (``ask``)."""
    on: str | list[str] = ""
    """A replica, ``engine`` or ``gateway`` (the first), ``engines`` or ``gateways`` (all)."""
    with_: dict[str, Any] = msgspec.field(name="with", default_factory=dict)
    hold: Duration = "10s"
    until: Condition | None = None
    holds: list[Condition] = []
    """What has to hold all the while the fault is in place; looked at once it is as old as their ``over``."""
    traffic: list[Traffic] | None = None
    wait: Condition | None = None
    within: Duration = "30s"
    """How long is waited: for ``wait`` and ``hook``."""
    ask: str | None = None
    answers: Literal["go", "text"] = "go"
    """``go``: go or no-go, and no-go ends the day; ``text``: a line."""
    default: str = ""
    """The answer where nobody can be asked."""
    hook: list[str] | None = None
    pause: Duration | None = None
    parallel: list[list[Step]] | None = None
    """Branches side by side, of faults, waits, hooks and pauses."""

    @property
    def acts(self) -> list[str]:
        """Those of `ACTS` that it says."""
        return [act for act in ACTS if getattr(self, act) is not None]

    @property
    def act(self) -> str:
        """The one thing that it does."""
        return self.acts[0]

    @property
    def title(self) -> str:
        """For people: its name, and what it does."""
        targets = self.on if isinstance(self.on, str) else ", ".join(self.on)
        said = {
            "drill": f"drill {self.drill}",
            "fault": f"{self.fault} on {targets}",
            "traffic": "traffic",
            "wait": f"wait for {self.wait}",
            "ask": self.ask or "",
            "hook": " ".join(self.hook or []),
            "pause": f"pause {self.pause}",
            "parallel": f"{len(self.parallel or [])} branches side by side",
        }
        return f"{self.name}: {said[self.act]}" if self.name else said[self.act]


class Playbook(_Part, frozen=True):
    """A game day before anybody knows on which stack."""

    title: str
    steady_state_hypothesis: Probes
    method: list[Step]
    description: str = ""
    tags: list[str] = []
    type: Kind = "exploratory"
    minutes: float = 0.0
    """How long people should keep free."""
    roles: dict[str, str] = {}
    """Role -> what whoever has it does."""
    dashboards: dict[str, str] = {}
    runbooks: dict[str, str] = {}
    stack: str = ""
    """A stack file, from where the playbook is; empty: the one that is given, else the embedded stack."""
    slo: str = ""
    traffic: list[Traffic] = []
    """All the time between drills, which bring their own."""
    stop_conditions: list[Condition] = []
    """As soon as one of them holds, everything is healed and the day is over."""
    blast_radius: BlastRadius = BlastRadius()
    exclusions: list[Exclusion] = []
    controls: Controls = Controls()
    rollbacks: list[Step] = []
    """Hooks at the end, however it came."""


FILES = {"playbook.schema.json": ("a playbook, as people write it", Playbook)}
"""The schema for editors: ``# yaml-language-server: $schema=...``."""
