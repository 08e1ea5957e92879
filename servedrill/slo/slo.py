"""An SLO as it is judged: one indicator, one target, one period.

It is what a file's objects come to, and what a history carries.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from servedrill.history.events import ObjectivesGiven
from servedrill.history.history import History
from servedrill.slo import durations
from servedrill.slo.objectives import DEFAULT, Objective, family, objective_of
from servedrill.slo.schema import Method, Op

DAY_S = 86_400.0
PERIOD_S = 30 * DAY_S
WINDOW = "$window"
"""Stands for the range in a query."""
Agreement = Literal["slo", "sla"]

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "lte": operator.le,
    "lt": operator.lt,
    "gte": operator.ge,
    "gt": operator.gt,
}
SIGNS = {"lte": "<=", "lt": "<", "gte": ">=", "gt": ">"}


class Sli(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is measured, and of whom. See `servedrill.slo.measures` for the measures."""

    measure: str = ""
    """Empty for one that only Prometheus can tell."""
    cls: str = ""
    """Request class; empty for all."""
    op: Op = "lte"
    limit: float | None = None
    """That a value of the measure is compared with."""
    limits: Objective = Objective()
    """What makes a request good, and the deadlines of its tokens, where the measure asks for them."""
    observed: str = ""
    selector: str = ""
    good_query: str = ""
    bad_query: str = ""
    total_query: str = ""
    value_query: str = ""
    ratio_query: str = ""
    """Of good to all."""

    @property
    def judged_by_history(self) -> bool:
        """Whether a history tells it; else only Prometheus does."""
        return bool(self.measure)


class BurnCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An alert that the file itself asks for, beside or instead of the multi-window ones."""

    name: str
    severity: str
    factor: float
    op: Op = "gt"
    window_s: float
    for_s: float = 0.0


class Slo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One promise. An SLA is one of its own: missing an SLO is no breach of an SLA."""

    name: str
    title: str = ""
    agreement: Agreement = "slo"
    service: str = ""
    sli: Sli
    target: float
    period_s: float = PERIOD_S
    calendar_start: str = ""
    """ISO 8601 with the offset that held then, of a calendar-aligned period; empty for a rolling one."""
    calendar_zone: str = ""
    """The period's zone by its name in the IANA data base, whose offset changes with the seasons."""
    calendar_unit: str = ""
    """The period's duration as OpenSLO writes it, ``1M``."""
    method: Method = "Occurrences"
    slice_s: float | None = None
    slice_target: float | None = None
    when_spent: list[str] = []
    alert_windows: str = "sloth"
    conditions: list[BurnCondition] = []

    @property
    def budget_ratio(self) -> float:
        """Share of bad events that the target leaves."""
        return 1 - self.target

    def period_begin(self, now: datetime) -> datetime:
        """When the period began that ``now`` is in."""
        if not self.calendar_start:
            return datetime.fromtimestamp(now.timestamp() - self.period_s, UTC)
        start = datetime.fromisoformat(self.calendar_start)
        if self.calendar_zone:
            start = start.astimezone(durations.zone(self.calendar_zone))
        return durations.period_start(start, self.calendar_unit, now)

    def covers(self, cls: str) -> bool:
        """Whether requests of a class are its own."""
        return self.sli.cls in ("", cls, family(cls))


def defaults() -> list[Slo]:
    """The built-in objectives as SLOs."""
    return [_of_class(cls, objective) for cls, objective in DEFAULT.items()]


def _of_class(cls: str, objective: Objective) -> Slo:
    return Slo(
        name=cls or "any",
        title=f"{cls or 'any'}: good requests",
        sli=Sli(measure="good_ratio", cls=cls, limits=objective),
        target=objective.target,
    )


def slos_in(history: History) -> list[Slo] | None:
    """The SLOs that a history was given; None where it has those that are built in."""
    given = history.of(ObjectivesGiven)
    return None if not given else msgspec.convert(given[-1].slos, list[Slo])


def event_of(slos: Sequence[Slo], *, t_ns: int, source: str) -> ObjectivesGiven:
    """The SLOs as a history carries them."""
    return ObjectivesGiven(t_ns=t_ns, source=source, slos=msgspec.to_builtins(list(slos)))


def slos_of(cls: str, slos: Sequence[Slo] | None, *, agreement: Agreement = "slo") -> list[Slo]:
    """The SLOs of a class: its own, else its family's, else those of all classes.

    Without any, an answer only has to be complete.
    """
    known = [
        slo
        for slo in (defaults() if slos is None else slos)
        if slo.agreement == agreement and slo.sli.judged_by_history
    ]
    for name in (cls, family(cls), ""):
        if found := [slo for slo in known if slo.sli.cls == name]:
            return found
    return [] if agreement == "sla" else [_of_class("", Objective())]


def objective_in(history: History) -> Callable[[str], Objective]:
    """Class -> what makes one request of it good, by the SLOs that the history was given."""
    slos = slos_in(history)
    table = None if slos is None else objectives_of(slos)
    return lambda cls: objective_of(cls, table)


def objectives_of(slos: Iterable[Slo]) -> dict[str, Objective]:
    """What makes one request good, class by class: of every limit that any of its SLOs has, the strictest."""
    table: dict[str, Objective] = {}
    for slo in slos:
        if slo.agreement != "slo" or not slo.sli.judged_by_history:
            continue
        limits = (
            {name: getattr(slo.sli.limits, name) for name in ("ttft_s", "tpot_s", "max_stall_s")}
            if slo.sli.measure == "good_ratio"
            else {}
        )
        if slo.sli.measure in ("ttft_s", "tpot_s", "max_stall_s") and slo.sli.op in ("lte", "lt"):
            limits[slo.sli.measure] = slo.sli.limit
        known = table.get(slo.sli.cls)
        merged = {
            name: min((one for one in (limits.get(name), getattr(known, name, None)) if one is not None), default=None)
            for name in ("ttft_s", "tpot_s", "max_stall_s")
        }
        target = max(slo.target, known.target) if known is not None else slo.target
        table[slo.sli.cls] = Objective(**merged, target=target)
    return table
