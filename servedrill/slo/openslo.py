"""SLO files: OpenSLO v1 objects as YAML, JSON or TOML, what is wrong with them, and the SLOs that they come to.

Where servedrill's own things stand: what it measures in a metric source of ``type: servedrill``; whether a promise is an SLO or an SLA
in the label ``agreement``; what follows from a spent budget, and whose alert windows are used, in annotations that begin with
``servedrill/``. docs/slo.md has it all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from servedrill.errors import UsageError
from servedrill.slo import durations, schema
from servedrill.slo.documents import Document, read_documents
from servedrill.slo.measures import COUNTS, MEASURES, OBSERVED, RATES, VALUES
from servedrill.slo.mistakes import Key, Mistake, Position, dotted, meant, mistakes_of, repaired
from servedrill.slo.objectives import Objective
from servedrill.slo.policy import ACTIONS
from servedrill.slo.slo import PERIOD_S, BurnCondition, Sli, Slo
from servedrill.slo.windows import DIALECTS, period_s_min

S = TypeVar("S", bound=msgspec.Struct)

AGREEMENT = "agreement"
"""The label that tells an SLA from an SLO."""
WHEN_SPENT = "servedrill/when-spent"
ALERT_WINDOWS = "servedrill/alert-windows"
ANNOTATIONS = (WHEN_SPENT, ALERT_WINDOWS)
WINDOW = "$window"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
DESCRIPTION_MAX = 1050
SLICE_S_MIN = 0.1


class SloFile(msgspec.Struct, frozen=True, kw_only=True):
    """What one or several files come to."""

    slos: list[Slo]
    prometheus_url: str = ""
    """Of the data source of type Prometheus, where there is one."""


def read_slos(*paths: Path) -> SloFile:
    """The SLOs of the files. Raises `UsageError` with every mistake that is in them."""
    file, mistakes = check(paths)
    if mistakes:
        raise UsageError(
            f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}\n" + "\n".join(map(str, mistakes)),
            where=", ".join(map(str, paths)),
        )
    return file


def check(paths: Sequence[Path]) -> tuple[SloFile, list[Mistake]]:
    """The SLOs that could be understood, and every mistake, in the order of the files. References reach over all of the files."""
    reader = _Reader()
    for path in paths:
        documents, mistakes = read_documents(path)
        reader.mistakes += mistakes
        for document in documents:
            reader.take(document)
    slos = reader.slos()
    order = {str(path): index for index, path in enumerate(paths)}
    found = sorted(set(reader.mistakes), key=lambda one: (order.get(one.file, 0), one.position, one.what))
    return SloFile(slos=slos, prometheus_url=reader.prometheus_url()), found


@dataclass(frozen=True, slots=True)
class _Known:
    """An object whose shape is right."""

    document: Document
    object: Any


class _Reader:
    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.objects: dict[tuple[str, str], _Known] = {}
        self.doubtful: set[tuple[str, Position, str]] = set()
        """Paths of objects (by file and position) that were repaired: what else is wrong there follows from that."""

    # ---- one object after the other: shape, names, labels

    def take(self, document: Document) -> None:
        if not isinstance(document.value, dict):
            self._wrong(document, (), "is no object", expected="apiVersion, kind, metadata, spec")
            return
        kind = document.value.get("kind")
        if kind not in schema.KINDS:
            if kind is None:
                hint = next((meant(str(key), ["kind"]) for key in document.value if meant(str(key), ["kind"])), "")
                self._wrong(document, (), "'kind' is missing", expected=" or ".join(schema.KINDS), hint=hint)
            else:
                self._wrong(
                    document,
                    ("kind",),
                    f"{kind!r}",
                    expected=" or ".join(schema.KINDS),
                    hint=meant(str(kind), schema.KINDS),
                )
            return
        mistakes = mistakes_of(document, schema.KINDS[kind])
        if mistakes:
            self.mistakes += mistakes
            self.doubtful |= {(document.file, document.at(()), mistake.path) for mistake in mistakes}
            fixed = repaired(document, schema.KINDS[kind])
            if fixed is None:
                return
            document = fixed
        found: Any = msgspec.convert(document.value, schema.KINDS[kind])
        self._metadata(document, found.metadata)
        if len(getattr(found.spec, "description", "")) > DESCRIPTION_MAX:
            self._wrong(
                document, ("spec", "description"), "is too long", expected=f"at most {DESCRIPTION_MAX} characters"
            )
        key = (kind, found.metadata.name)
        if key in self.objects:
            first = self.objects[key].document
            position = first.at(("metadata", "name"))
            self._wrong(
                document,
                ("metadata", "name"),
                f"{kind} {found.metadata.name!r} twice, first at {first.file}:{position.line}",
            )
            return
        self.objects[key] = _Known(document, found)

    def _metadata(self, document: Document, metadata: schema.Metadata) -> None:
        if not _NAME.fullmatch(metadata.name):
            expected = "at most 63 lower-case letters, digits and dashes, a letter or digit at both ends"
            self._wrong(document, ("metadata", "name"), f"{metadata.name!r} is no name", expected=expected)
        for label in metadata.labels:
            if not _LABEL.fullmatch(label):
                self._wrong(
                    document, ("metadata", "labels", label), f"{label!r} is no label", expected="letters, digits, - _ ."
                )
        for annotation in metadata.annotations:
            prefix, slash, name = annotation.rpartition("/")
            if not _LABEL.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
                self._wrong(
                    document,
                    ("metadata", "annotations", annotation),
                    f"{annotation!r} is no annotation",
                    expected="name or prefix/name",
                )
            elif prefix == "servedrill" and annotation not in ANNOTATIONS:
                self._wrong(
                    document,
                    ("metadata", "annotations", annotation),
                    f"unknown annotation {annotation!r}",
                    expected=" or ".join(ANNOTATIONS),
                    hint=meant(annotation, ANNOTATIONS),
                )

    def prometheus_url(self) -> str:
        for (kind, _), known in self.objects.items():
            if kind == "DataSource" and known.object.spec.type.lower() == "prometheus":
                return str(known.object.spec.connection_details.get("url", ""))
        return ""

    # ---- what SLOs mean

    def slos(self) -> list[Slo]:
        found: list[tuple[_Known, Slo]] = []
        for (kind, _), known in self.objects.items():
            if kind == "SLO":
                found += [(known, slo) for slo in self._slo(known.document, known.object)]
            elif kind == "SLI":
                self._indicator(known.document, ("spec",), known.object.spec)
            elif kind == "AlertPolicy":
                self._policy(known.document, ("spec",), known.object.spec, "")
        self._agreements(found)
        return [slo for _, slo in found]

    def _slo(self, document: Document, slo: schema.SloObject) -> list[Slo]:
        before = len(self.mistakes)
        spec = slo.spec
        labels = slo.metadata.labels
        agreement = labels.get(AGREEMENT, "slo")
        if agreement not in ("slo", "sla"):
            self._wrong(document, ("metadata", "labels", AGREEMENT), f"{agreement!r}", expected="slo or sla")
        sli = self._sli_of(document, spec)
        period = self._period(document, spec)
        if not spec.objectives:
            self._wrong(document, ("spec", "objectives"), "is empty", expected="at least one objective")
        threshold = sli is not None and (
            sli.limit is not None or sli.value_query or sli.measure in (*VALUES, *RATES, OBSERVED)
        )
        if threshold and len(spec.objectives) > 1:
            self._wrong(
                document,
                ("spec", "objectives", 1),
                "a second objective of a thresholdMetric",
                expected="one",
                hint="write an SLO of its own for it",
            )
        annotations = slo.metadata.annotations
        when_spent = [word.strip() for word in annotations.get(WHEN_SPENT, "").split(",") if word.strip()]
        for word in when_spent:
            if word not in ACTIONS:
                self._wrong(
                    document,
                    ("metadata", "annotations", WHEN_SPENT),
                    f"{word!r}",
                    expected=" or ".join(ACTIONS),
                    hint=meant(word, ACTIONS),
                )
        windows = annotations.get(ALERT_WINDOWS, "sloth")
        if windows not in DIALECTS:
            self._wrong(
                document,
                ("metadata", "annotations", ALERT_WINDOWS),
                f"{windows!r}",
                expected=" or ".join(DIALECTS),
                hint=meant(windows, DIALECTS),
            )
        elif period.seconds < period_s_min(windows):
            self._wrong(
                document,
                ("spec", "timeWindow"),
                f"{durations.short(period.seconds)} is too short for the alert windows of {windows}",
                expected=f"at least {durations.short(period_s_min(windows))}",
                hint=f"'{ALERT_WINDOWS}: pyrra' scales them"
                if windows == "sloth" and period.seconds >= period_s_min("pyrra")
                else "",
            )
        conditions = self._conditions(document, spec)
        found = []
        for index, objective in enumerate(spec.objectives):
            told = self._objective(
                document, ("spec", "objectives", index), objective, spec.budgeting_method, sli, bool(threshold)
            )
            if told is None or sli is None:
                continue
            target, slice_s, op, value = told
            if sli.measure in RATES and spec.budgeting_method == "Occurrences":
                self._wrong(
                    document,
                    ("spec", "budgetingMethod"),
                    f"{sli.measure} is a rate: it has a value for each time slice",
                    expected="Timeslices or RatioTimeslices",
                )
            name = slo.metadata.name if len(spec.objectives) == 1 else f"{slo.metadata.name}-{index + 1}"
            title = slo.metadata.display_name or slo.metadata.name
            if objective.display_name:
                title = f"{title}: {objective.display_name}"
            found.append(
                Slo(
                    name=name,
                    title=title,
                    agreement="sla" if agreement == "sla" else "slo",
                    service=spec.service,
                    sli=msgspec.structs.replace(sli, op=op or sli.op, limit=value) if threshold else sli,
                    target=target,
                    period_s=period.seconds,
                    calendar_start=period.calendar_start,
                    calendar_unit=period.calendar_unit,
                    method=spec.budgeting_method,
                    slice_s=slice_s,
                    slice_target=objective.time_slice_target,
                    when_spent=when_spent,
                    alert_windows=windows,
                    conditions=conditions,
                )
            )
        return found if len(self.mistakes) == before and not self.doubtful else []

    def _sli_of(self, document: Document, spec: schema.SloSpec) -> Sli | None:
        composite = [
            index
            for index, one in enumerate(spec.objectives)
            if one.indicator is not None or one.indicator_ref is not None
        ]
        for index in composite:
            self._wrong(
                document,
                ("spec", "objectives", index),
                "an indicator of its own makes a composite SLO, which is not judged",
                hint="write an SLO of its own for it",
            )
        if composite:
            return None
        if (spec.indicator is None) == (spec.indicator_ref is None):
            self._wrong(
                document,
                ("spec",),
                "has both" if spec.indicator else "has no indicator",
                expected="either indicator or indicatorRef",
            )
            return None
        if spec.indicator is not None:
            return self._indicator(document, ("spec", "indicator", "spec"), spec.indicator.spec)
        known = self.objects.get(("SLI", str(spec.indicator_ref)))
        if known is None:
            names = [name for kind, name in self.objects if kind == "SLI"]
            self._wrong(
                document,
                ("spec", "indicatorRef"),
                f"no SLI {spec.indicator_ref!r}",
                expected=" or ".join(names) or "an object of kind SLI",
                hint=meant(str(spec.indicator_ref), names),
            )
            return None
        return self._indicator(known.document, ("spec",), known.object.spec)

    # ---- indicators

    def _indicator(self, document: Document, key: Key, spec: schema.SliSpec) -> Sli | None:
        if (spec.threshold_metric is None) == (spec.ratio_metric is None):
            self._wrong(
                document,
                key,
                "has both" if spec.ratio_metric else "measures nothing",
                expected="either thresholdMetric or ratioMetric",
            )
            return None
        if spec.threshold_metric is not None:
            return self._threshold(document, (*key, "thresholdMetric"), spec.threshold_metric)
        assert spec.ratio_metric is not None
        return self._ratio(document, (*key, "ratioMetric"), spec.ratio_metric)

    def _type(self, document: Document, key: Key, metric: schema.Metric) -> str:
        """``servedrill`` or ``prometheus``; empty for any other, which is a mistake."""
        source = metric.metric_source
        type_, where = source.type, (*key, "metricSource", "type")
        if source.metric_source_ref:
            known = self.objects.get(("DataSource", source.metric_source_ref))
            names = [name for kind, name in self.objects if kind == "DataSource"]
            if known is None:
                self._wrong(
                    document,
                    (*key, "metricSource", "metricSourceRef"),
                    f"no DataSource {source.metric_source_ref!r}",
                    expected=" or ".join(names) or "an object of kind DataSource",
                    hint=meant(source.metric_source_ref, names),
                )
                return ""
            type_ = type_ or known.object.spec.type
        if not type_:
            self._wrong(document, (*key, "metricSource"), "'type' is missing", expected="servedrill or Prometheus")
            return ""
        if type_.lower() not in ("servedrill", "prometheus"):
            self._wrong(
                document,
                where,
                f"{type_!r} cannot be read",
                expected="servedrill or Prometheus",
                hint=meant(type_, ["servedrill", "Prometheus"]),
            )
            return ""
        return type_.lower()

    def _spec(self, document: Document, key: Key, metric: schema.Metric, type_: type[S]) -> S | None:
        """The part of a source that only one implementation knows."""
        below = (*key, "metricSource", "spec")
        if "spec" not in _at(document.value, (*key, "metricSource")):
            self._wrong(document, (*key, "metricSource"), "'spec' is missing", expected=", ".join(_keys(type_)))
            return None
        mistakes = mistakes_of(document, type_, below)
        self.mistakes += mistakes
        if mistakes:
            self.doubtful |= {(document.file, document.at(()), mistake.path) for mistake in mistakes}
            fixed = repaired(document.below(below), type_)
            return None if fixed is None else msgspec.convert(fixed.value, type_)
        return msgspec.convert(metric.metric_source.spec, type_)

    def _query(self, document: Document, key: Key, metric: schema.Metric) -> str:
        found = self._spec(document, key, metric, schema.PrometheusQuery)
        if found is None:
            return ""
        self._has_window(document, (*key, "metricSource", "spec", "query"), found.query)
        return found.query

    def _has_window(self, document: Document, key: Key, query: str) -> None:
        if WINDOW not in query:
            self._wrong(
                document,
                key,
                f"has no {WINDOW}",
                expected=f"a query over the range {WINDOW}, such as sum(increase(errors_total[{WINDOW}]))",
            )

    def _threshold(self, document: Document, key: Key, metric: schema.Metric) -> Sli | None:
        type_ = self._type(document, key, metric)
        if type_ == "prometheus":
            found = self._spec(document, key, metric, schema.PrometheusQuery)
            return Sli(value_query=found.query) if found else None
        value = self._spec(document, key, metric, schema.ServedrillValue) if type_ else None
        if value is None:
            return None
        below = (*key, "metricSource", "spec")
        if value.measure not in MEASURES:
            self._unknown(document, (*below, "measure"), value.measure, MEASURES, COUNTS)
            return None
        if (value.measure == OBSERVED) != bool(value.name):
            what = "'name' is missing" if value.measure == OBSERVED else "'name' is for the measure 'observed' only"
            self._wrong(document, (*below, "name") if value.name else below, what)
        deadlines = value.measure in VALUES and VALUES[value.measure].deadlines
        limits = value.measure in RATES and RATES[value.measure].limits
        return Sli(
            measure=value.measure,
            cls=value.cls,
            limits=self._limits(document, below, value, deadlines=deadlines, limits=limits),
            observed=value.name,
            selector=value.selector,
        )

    def _ratio(self, document: Document, key: Key, metric: schema.RatioMetric) -> Sli | None:
        numerators = [name for name in ("good", "bad", "raw") if getattr(metric, name) is not None]
        if len(numerators) != 1:
            self._wrong(
                document, key, f"has {' and '.join(numerators) or 'no numerator'}", expected="one of good, bad, raw"
            )
            return None
        numerator = numerators[0]
        if (metric.total is None) != (numerator == "raw"):
            self._wrong(
                document,
                key,
                "'total' is missing" if metric.total is None else "'total' beside 'raw'",
                expected="good or bad with total, or raw alone",
            )
            return None
        if (metric.raw_type is not None) != (numerator == "raw"):
            self._wrong(document, key, "'rawType' goes with 'raw', and 'raw' with it")
        upper: schema.Metric = getattr(metric, numerator)
        types = [self._type(document, (*key, numerator), upper)]
        if metric.total is not None:
            types.append(self._type(document, (*key, "total"), metric.total))
        if "" in types:
            return None
        if len(set(types)) > 1:
            self._wrong(document, key, f"{numerator} and total are of different types", expected="one type")
            return None
        if types[0] == "prometheus":
            return self._prometheus_ratio(document, key, metric, numerator, upper)
        if numerator != "good" or metric.total is None:
            self._wrong(document, (*key, numerator), "servedrill counts good ones of all", expected="good and total")
            return None
        return self._counts(document, key, upper, metric.total)

    def _prometheus_ratio(
        self, document: Document, key: Key, metric: schema.RatioMetric, numerator: str, upper: schema.Metric
    ) -> Sli:
        query = self._query(document, (*key, numerator), upper)
        if numerator == "raw":
            return Sli(ratio_query=query if metric.raw_type != "failure" else f"1 - ({query})")
        assert metric.total is not None
        total = self._query(document, (*key, "total"), metric.total)
        return Sli(
            good_query=query if numerator == "good" else "",
            bad_query=query if numerator == "bad" else "",
            total_query=total,
        )

    def _counts(
        self, document: Document, key: Key, good_metric: schema.Metric, total_metric: schema.Metric
    ) -> Sli | None:
        good = self._spec(document, (*key, "good"), good_metric, schema.ServedrillCount)
        total = self._spec(document, (*key, "total"), total_metric, schema.ServedrillCount)
        if good is None or total is None:
            return None
        where_good, where_total = ((*key, name, "metricSource", "spec") for name in ("good", "total"))
        pairs = {count.good: name for name, count in COUNTS.items()}
        if good.count not in pairs:
            self._unknown(document, (*where_good, "count"), good.count, pairs, ())
            return None
        measure = pairs[good.count]
        count = COUNTS[measure]
        if total.count != count.total:
            self._wrong(
                document,
                (*where_total, "count"),
                f"{total.count!r} is not what {good.count!r} is a part of",
                expected=repr(count.total),
            )
        if total.cls != good.cls:
            self._wrong(
                document,
                (*where_total, "class") if total.cls else where_total,
                f"class {total.cls!r}, but good is of {good.cls!r}",
                expected="the same class",
            )
        limits = self._limits(document, where_good, good, deadlines=count.deadlines, limits=count.limits)
        for name in ("ttft_s", "tpot_s", "max_stall_s"):
            if getattr(total, name) is not None:
                self._wrong(document, (*where_total, name), f"{name} has no use in total", expected="it in good")
        for where, one in ((where_good, good), (where_total, total)):
            if one.promql:
                self._has_window(document, (*where, "promql"), one.promql)
        if bool(good.promql) != bool(total.promql):
            self._wrong(document, key, "promql in one of good and total", expected="it in both")
        return Sli(
            measure=measure,
            cls=good.cls,
            limits=limits,
            selector=good.selector or total.selector,
            good_query=good.promql,
            total_query=total.promql,
        )

    def _limits(
        self,
        document: Document,
        key: Key,
        spec: schema.ServedrillValue | schema.ServedrillCount,
        *,
        deadlines: bool,
        limits: bool,
    ) -> Objective:
        given = {name: getattr(spec, name) for name in ("ttft_s", "tpot_s", "max_stall_s")}
        for name, value in given.items():
            allowed = limits or (deadlines and name != "max_stall_s")
            if value is not None and not allowed:
                self._wrong(
                    document,
                    (*key, name),
                    f"{name} has no use here",
                    hint="the limit of a value is `value` of the objective",
                )
            elif value is not None and not value > 0:
                self._wrong(document, (*key, name), f"is {value:g}", expected="seconds above 0")
            elif value is None and deadlines and name != "max_stall_s":
                self._wrong(document, key, f"'{name}' is missing", expected="the deadlines ttft_s and tpot_s")
        return Objective(**given)

    # ---- objectives

    def _objective(
        self,
        document: Document,
        key: Key,
        objective: schema.Objective,
        method: schema.Method,
        sli: Sli | None,
        threshold: bool,
    ) -> tuple[float, float | None, schema.Op | None, float | None] | None:
        """Target, slice in seconds, operator and limit; None where it has no target."""
        if threshold and (objective.op is None or objective.value is None):
            missing = [name for name in ("op", "value") if getattr(objective, name) is None]
            self._wrong(
                document,
                key,
                " and ".join(repr(name) for name in missing) + " missing",
                expected="op and value, for a thresholdMetric",
            )
        if sli is not None and not threshold and objective.value is not None:
            self._wrong(document, (*key, "value"), "'value' has no use with a ratioMetric")
        if (
            sli is not None
            and threshold
            and objective.value is not None
            and sli.measure in VALUES
            and not VALUES[sli.measure].more_is_better
            and objective.op in ("gt", "gte")
        ):
            self._wrong(document, (*key, "op"), f"{objective.op!r} makes slow good", expected="lte or lt")
        slice_s = self._slice(document, key, objective, method)
        target = self._target(document, key, objective)
        return None if target is None else (target, slice_s, objective.op, objective.value)

    def _target(self, document: Document, key: Key, objective: schema.Objective) -> float | None:
        if (objective.target is None) == (objective.target_percent is None):
            self._wrong(
                document,
                key,
                "has both" if objective.target is not None else "has no target",
                expected="either target or targetPercent",
            )
            return None
        if objective.target is not None:
            if 0 <= objective.target < 1:
                return objective.target
            hint = f"did you mean 'targetPercent: {objective.target:g}'?" if 1 < objective.target < 100 else ""
            self._wrong(document, (*key, "target"), f"is {objective.target:g}", expected="0 to below 1", hint=hint)
            return None
        assert objective.target_percent is not None
        if 0 <= objective.target_percent < 100:
            # Decimal, so that 99.9 is 0.999 and not the float that a division makes of it.
            return float(f"{objective.target_percent / 100:.12g}")
        self._wrong(document, (*key, "targetPercent"), f"is {objective.target_percent:g}", expected="0 to below 100")
        return None

    def _slice(self, document: Document, key: Key, objective: schema.Objective, method: schema.Method) -> float | None:
        window = objective.time_slice_window
        if method == "Occurrences":
            for name, value in (("timeSliceTarget", objective.time_slice_target), ("timeSliceWindow", window)):
                if value is not None:
                    self._wrong(
                        document,
                        (*key, name),
                        f"{name} has no use with Occurrences",
                        expected="Timeslices or RatioTimeslices for it",
                    )
            return None
        if method == "Timeslices" and objective.time_slice_target is None:
            self._wrong(
                document,
                key,
                "'timeSliceTarget' is missing",
                expected="the share of good events that makes a slice good",
            )
        if objective.time_slice_target is not None and not 0 < objective.time_slice_target <= 1:
            self._wrong(
                document,
                (*key, "timeSliceTarget"),
                f"is {objective.time_slice_target:g}",
                expected="above 0, at most 1",
            )
        if window is None:
            self._wrong(document, key, "'timeSliceWindow' is missing", expected=durations.FORM + ", or minutes")
            return None
        slice_s = durations.seconds(window) if isinstance(window, str) else window * 60
        if slice_s is None or slice_s < SLICE_S_MIN:
            expected = f"{durations.FORM}, or minutes; {SLICE_S_MIN:g} s or more"
            self._wrong(document, (*key, "timeSliceWindow"), f"is {window!r}", expected=expected)
            return None
        return slice_s

    def _period(self, document: Document, spec: schema.SloSpec) -> _Period:
        if not spec.time_window:
            return _Period()
        if len(spec.time_window) > 1:
            self._wrong(document, ("spec", "timeWindow", 1), "a second window", expected="one")
        window, key = spec.time_window[0], ("spec", "timeWindow", 0)
        seconds = durations.seconds(window.duration)
        if seconds is None:
            self._wrong(document, (*key, "duration"), f"is {window.duration!r}", expected=durations.FORM)
            return _Period()
        if window.calendar is None:
            if window.is_rolling is not True:
                self._wrong(
                    document, key, "is not rolling and has no calendar", expected="isRolling: true, or a calendar"
                )
            return _Period(seconds)
        if window.is_rolling:
            self._wrong(document, (*key, "isRolling"), "is rolling and has a calendar", expected="one of them")
        try:
            # Everybody has UTC, also a system without the IANA data base.
            zone = UTC if window.calendar.time_zone == "UTC" else ZoneInfo(window.calendar.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._wrong(
                document,
                (*key, "calendar", "timeZone"),
                f"no time zone {window.calendar.time_zone!r}",
                expected="a name of the IANA data base, such as Europe/Berlin",
            )
            return _Period(seconds)
        try:
            start = datetime.fromisoformat(window.calendar.start_time).replace(tzinfo=zone)
        except ValueError:
            self._wrong(
                document,
                (*key, "calendar", "startTime"),
                f"is {window.calendar.start_time!r}",
                expected="2026-01-31 12:30:00",
            )
            return _Period(seconds)
        return _Period(seconds, start.isoformat(), window.duration)

    # ---- alerts

    def _conditions(self, document: Document, spec: schema.SloSpec) -> list[BurnCondition]:
        found: list[BurnCondition] = []
        for index, use in enumerate(spec.alert_policies or []):
            key: Key = ("spec", "alertPolicies", index)
            if bool(use.alert_policy_ref) == (use.spec is not None):
                self._wrong(
                    document,
                    key,
                    "names and is a policy" if use.spec else "is no policy",
                    expected="either alertPolicyRef or a policy in place",
                )
            elif use.spec is not None:
                found += self._policy(document, (*key, "spec"), use.spec, use.metadata.name if use.metadata else "")
            else:
                known = self.objects.get(("AlertPolicy", use.alert_policy_ref))
                if known is None:
                    names = [name for kind, name in self.objects if kind == "AlertPolicy"]
                    self._wrong(
                        document,
                        (*key, "alertPolicyRef"),
                        f"no AlertPolicy {use.alert_policy_ref!r}",
                        expected=" or ".join(names) or "an object of kind AlertPolicy",
                        hint=meant(use.alert_policy_ref, names),
                    )
                else:
                    found += self._policy(known.document, ("spec",), known.object.spec, known.object.metadata.name)
        return found

    def _policy(self, document: Document, key: Key, spec: schema.AlertPolicySpec, name: str) -> list[BurnCondition]:
        if len(spec.conditions) != 1:
            self._wrong(document, (*key, "conditions"), f"{len(spec.conditions)} conditions", expected="one")
        found = []
        for index, use in enumerate(spec.conditions):
            where: Key = (*key, "conditions", index)
            if use.spec is not None:
                condition, at, known_in = use.spec.condition, (*where, "spec", "condition"), document
                severity, label = use.spec.severity, use.metadata.name if use.metadata else name
            else:
                known = self.objects.get(("AlertCondition", use.condition_ref))
                if known is None:
                    names = [one for kind, one in self.objects if kind == "AlertCondition"]
                    self._wrong(
                        document,
                        (*where, "conditionRef"),
                        f"no AlertCondition {use.condition_ref!r}",
                        expected=" or ".join(names) or "an object of kind AlertCondition",
                        hint=meant(use.condition_ref, names),
                    )
                    continue
                condition, at, known_in = known.object.spec.condition, ("spec", "condition"), known.document
                severity, label = known.object.spec.severity, use.condition_ref
            window_s = durations.seconds(condition.lookback_window)
            for_s = 0.0 if condition.alert_after in ("0m", "0") else durations.seconds(condition.alert_after)
            for text, value, field in (
                (condition.lookback_window, window_s, "lookbackWindow"),
                (condition.alert_after, for_s, "alertAfter"),
            ):
                if value is None:
                    self._wrong(known_in, (*at, field), f"is {text!r}", expected=durations.FORM)
            if window_s is not None and for_s is not None:
                found.append(
                    BurnCondition(
                        name=label,
                        severity=severity,
                        factor=condition.threshold,
                        op=condition.op,
                        window_s=window_s,
                        for_s=for_s,
                    )
                )
        return found

    # ---- several together

    def _agreements(self, found: Sequence[tuple[_Known, Slo]]) -> None:
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
                    self._wrong(
                        known.document,
                        ("spec", "objectives"),
                        f"the SLA promises {sla.target:.4%}, more than SLO {slo.name!r} aims at ({slo.target:.4%})",
                        expected="an SLO that is missed before the SLA is broken",
                    )

    def _unknown(self, document: Document, key: Key, word: str, known: Any, elsewhere: Any) -> None:
        hint = meant(word, known)
        if word in elsewhere:
            hint = f"{word} is a ratio: write ratioMetric with {COUNTS[word].good} and {COUNTS[word].total}"
        self._wrong(document, key, f"{word!r} is not measured", expected=" or ".join(known), hint=hint)

    def _wrong(self, document: Document, key: Key, what: str, *, expected: str = "", hint: str = "") -> None:
        if (document.file, document.at(()), dotted(key)) in self.doubtful:
            return
        self.mistakes.append(Mistake(document.file, document.value_at(key), dotted(key), what, expected, hint))


@dataclass(frozen=True, slots=True)
class _Period:
    seconds: float = PERIOD_S
    calendar_start: str = ""
    calendar_unit: str = ""


def _at(value: Any, key: Key) -> Any:
    for step in key:
        value = value[step]
    return value


def _keys(type_: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.encode_name for field in msgspec.structs.fields(type_))
