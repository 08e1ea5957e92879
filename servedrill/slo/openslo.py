"""SLO files: OpenSLO v1 objects as YAML, JSON or TOML, what is wrong with them, and the SLOs that they come to.

Where servedrill's own things stand: what it measures in a metric source of ``type: servedrill``; whether a promise is
an SLO or an SLA in the label ``agreement``; what follows from a spent budget, and whose alert windows are used, in
annotations that begin with ``servedrill/``. docs/slo.md has it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from servedrill.errors import FileError
from servedrill.files.documents import Document, read_documents
from servedrill.files.meant import meant
from servedrill.files.places import Mistake
from servedrill.slo import durations, schema
from servedrill.slo.burn_conditions import conditions_of, policy_of
from servedrill.slo.indicators import indicator, sli_of
from servedrill.slo.measures import OBSERVED, RATES, VALUES
from servedrill.slo.objects import AGREEMENT, ALERT_WINDOWS, FILES, WHEN_SPENT, Known, Objects
from servedrill.slo.policy import ACTIONS
from servedrill.slo.slo import Sli, Slo
from servedrill.slo.targets import Period, period_of, read_objective
from servedrill.slo.windows import DAY_S, DIALECTS, period_s_min


class SloFile(msgspec.Struct, frozen=True, kw_only=True):
    """What one or several files come to."""

    slos: list[Slo]
    prometheus_url: str = ""
    """Of the data source of type Prometheus, where there is one."""


def read_slos(*paths: Path) -> SloFile:
    """The SLOs of the files. Raises `FileError` with every mistake that is in them."""
    file, mistakes = check(paths)
    if mistakes:
        raise FileError(map(str, mistakes))
    return file


def check(paths: Sequence[Path]) -> tuple[SloFile, list[Mistake]]:
    """The SLOs that could be understood, and every mistake, in the order of the files.

    References reach over all of the files.
    """
    objects = Objects()
    for path in paths:
        documents, mistakes = read_documents(path, FILES)
        objects.mistakes.found += mistakes
        for document in documents:
            objects.take(document)
    slos = _slos(objects)
    return SloFile(slos=slos, prometheus_url=objects.prometheus_url()), objects.mistakes.listed(paths)


def _slos(objects: Objects) -> list[Slo]:
    found: list[tuple[Known, Slo]] = []
    for (kind, _), known in objects.known.items():
        if kind == "SLO":
            found += [(known, slo) for slo in _slo(objects, known.document, known.object)]
        elif kind == "SLI":
            indicator(objects, known.document, ("spec",), known.object.spec)
        elif kind == "AlertPolicy":
            policy_of(objects, known.document, ("spec",), known.object.spec, "")
    _agreements(objects, found)
    return [slo for _, slo in found]


def _slo(objects: Objects, document: Document, slo: schema.SloObject) -> list[Slo]:
    """One for each objective; none where anything is wrong."""
    before = len(objects.mistakes.found)
    spec = slo.spec
    agreement = slo.metadata.labels.get(AGREEMENT, "slo")
    if agreement not in ("slo", "sla"):
        objects.wrong(document, ("metadata", "labels", AGREEMENT), f"{agreement!r}", expected="slo or sla")
    sli = sli_of(objects, document, spec)
    period = period_of(objects, document, spec)
    threshold = _has_threshold(sli)
    _check_number(objects, document, spec, threshold=threshold)
    common = Slo(
        name=slo.metadata.name,
        title=slo.metadata.display_name or slo.metadata.name,
        agreement="sla" if agreement == "sla" else "slo",
        service=spec.service,
        sli=sli or Sli(),
        target=0.0,
        period_s=period.seconds,
        calendar_start=period.calendar_start,
        calendar_zone=period.calendar_zone,
        calendar_unit=period.calendar_unit,
        method=spec.budgeting_method,
        when_spent=_when_spent(objects, document, slo.metadata),
        alert_windows=_alert_windows(objects, document, slo, period),
        conditions=conditions_of(objects, document, spec),
    )
    found = []
    for index, objective in enumerate(spec.objectives):
        key = ("spec", "objectives", index)
        told = read_objective(objects, document, key, objective, spec.budgeting_method, sli, threshold)
        if told is None or sli is None:
            continue
        target, slice_s, op, value = told
        several = len(spec.objectives) > 1
        found.append(
            msgspec.structs.replace(
                common,
                name=f"{common.name}-{index + 1}" if several else common.name,
                title=f"{common.title}: {objective.display_name}" if objective.display_name else common.title,
                sli=msgspec.structs.replace(sli, op=op or sli.op, limit=value) if threshold else sli,
                target=target,
                slice_s=slice_s,
                slice_target=objective.time_slice_target,
            )
        )
    if found and common.sli.measure in RATES and spec.budgeting_method == "Occurrences":
        what = f"{common.sli.measure} is a rate: it has a value for each time slice"
        objects.wrong(document, ("spec", "budgetingMethod"), what, expected="Timeslices or RatioTimeslices")
    return found if len(objects.mistakes.found) == before and not objects.mistakes.guessed else []


def _has_threshold(sli: Sli | None) -> bool:
    """Whether an objective has a limit for it."""
    return sli is not None and (
        sli.limit is not None or bool(sli.value_query) or sli.measure in (*VALUES, *RATES, OBSERVED)
    )


def _check_number(objects: Objects, document: Document, spec: schema.SloSpec, *, threshold: bool) -> None:
    if not spec.objectives:
        objects.wrong(document, ("spec", "objectives"), "is empty", expected="at least one objective")
    if threshold and len(spec.objectives) > 1:
        key, what = ("spec", "objectives", 1), "a second objective of a thresholdMetric"
        objects.wrong(document, key, what, expected="one", hint="write an SLO of its own for it")


def _when_spent(objects: Objects, document: Document, metadata: schema.Metadata) -> list[str]:
    words = [word.strip() for word in metadata.annotations.get(WHEN_SPENT, "").split(",") if word.strip()]
    for word in words:
        if word not in ACTIONS:
            key, expected = ("metadata", "annotations", WHEN_SPENT), " or ".join(ACTIONS)
            objects.wrong(document, key, f"{word!r}", expected=expected, hint=meant(word, ACTIONS))
    return words


def _alert_windows(objects: Objects, document: Document, slo: schema.SloObject, period: Period) -> str:
    metadata, spec = slo.metadata, slo.spec
    windows = metadata.annotations.get(ALERT_WINDOWS, "sloth")
    if windows not in DIALECTS:
        key, expected = ("metadata", "annotations", ALERT_WINDOWS), " or ".join(DIALECTS)
        objects.wrong(document, key, f"{windows!r}", expected=expected, hint=meant(windows, DIALECTS))
    elif ALERT_WINDOWS in metadata.annotations and period.seconds < period_s_min(windows) and not spec.alert_policies:
        # Asked for by name they cannot be left out; where nobody asked, there are none, and that is said.
        objects.wrong(
            document,
            ("spec", "timeWindow"),
            f"{durations.short(period.seconds)} is too short for the alert windows of {windows}",
            expected=f"at least {period_s_min(windows) / DAY_S:g} days, or alertPolicies of its own",
        )
    return windows


def _agreements(objects: Objects, found: Sequence[tuple[Known, Slo]]) -> None:
    """An SLA that promises more than the SLO of the same thing is watched too late."""
    for known, sla in found:
        if sla.agreement != "sla":
            continue
        for _, slo in found:
            same = slo.agreement == "slo" and (slo.service, slo.sli, slo.method) == (
                sla.service,
                sla.sli,
                sla.method,
            )
            if same and sla.target > slo.target:
                objects.wrong(
                    known.document,
                    ("spec", "objectives"),
                    f"the SLA promises {sla.target:.4%}, more than SLO {slo.name!r} aims at ({slo.target:.4%})",
                    expected="an SLO that is missed before the SLA is broken",
                )
