"""Indicators of SLO files: what is measured, where servedrill or Prometheus is the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from servedrill.files.documents import Document
from servedrill.files.meant import meant
from servedrill.files.places import Key
from servedrill.slo import schema
from servedrill.slo.measures import COUNTS, MEASURES, OBSERVED, RATES, VALUES
from servedrill.slo.objectives import Objective
from servedrill.slo.objects import Objects
from servedrill.slo.ranges import grown, proposed, with_window
from servedrill.slo.slo import WINDOW, Sli

S = TypeVar("S", bound=msgspec.Struct)


def sli_of(objects: Objects, document: Document, spec: schema.SloSpec) -> Sli | None:
    """What an SLO measures, in place or referred to; None where that is not known, which is noted."""
    composite = [
        index for index, one in enumerate(spec.objectives) if one.indicator is not None or one.indicator_ref is not None
    ]
    for index in composite:
        objects.wrong(
            document,
            ("spec", "objectives", index),
            "an indicator of its own makes a composite SLO, which is not judged",
            hint="write an SLO of its own for it",
        )
    if composite:
        return None
    if (spec.indicator is None) == (spec.indicator_ref is None):
        objects.wrong(
            document,
            ("spec",),
            "has both" if spec.indicator else "has no indicator",
            expected="either indicator or indicatorRef",
        )
        return None
    if spec.indicator is not None:
        return indicator(objects, document, ("spec", "indicator", "spec"), spec.indicator.spec)
    known = objects.named("SLI", str(spec.indicator_ref), document, ("spec", "indicatorRef"))
    if known is None:
        return None
    return indicator(objects, known.document, ("spec",), known.object.spec)


def indicator(objects: Objects, document: Document, key: Key, spec: schema.SliSpec) -> Sli | None:
    """What the SLI whose spec stands at ``key`` measures; None where that is not known, which is noted."""
    if (spec.threshold_metric is None) == (spec.ratio_metric is None):
        objects.wrong(
            document,
            key,
            "has both" if spec.ratio_metric else "measures nothing",
            expected="either thresholdMetric or ratioMetric",
        )
        return None
    if spec.threshold_metric is not None:
        return _threshold(objects, document, (*key, "thresholdMetric"), spec.threshold_metric)
    assert spec.ratio_metric is not None
    return _ratio(objects, document, (*key, "ratioMetric"), spec.ratio_metric)


def _type(objects: Objects, document: Document, key: Key, metric: schema.Metric) -> str:
    """``servedrill`` or ``prometheus``; empty for any other, which is a mistake."""
    source = metric.metric_source
    type_, where = source.type, (*key, "metricSource", "type")
    if source.metric_source_ref:
        known = objects.named(
            "DataSource", source.metric_source_ref, document, (*key, "metricSource", "metricSourceRef")
        )
        if known is None:
            return ""
        type_ = type_ or known.object.spec.type
    if not type_:
        objects.wrong(document, (*key, "metricSource"), "'type' is missing", expected="servedrill or Prometheus")
        return ""
    if type_.lower() not in ("servedrill", "prometheus"):
        objects.wrong(
            document,
            where,
            f"{type_!r} cannot be read",
            expected="servedrill or Prometheus",
            hint=meant(type_, ["servedrill", "Prometheus"]),
        )
        return ""
    return type_.lower()


def _spec(objects: Objects, document: Document, key: Key, metric: schema.Metric, type_: type[S]) -> S | None:
    """The part of a source that only one implementation knows."""
    below = (*key, "metricSource", "spec")
    if "spec" not in _at(document.value, (*key, "metricSource")):
        objects.wrong(document, (*key, "metricSource"), "'spec' is missing", expected=", ".join(_keys(type_)))
        return None
    return objects.mistakes.read(document, type_, below)[0]


def _prometheus(objects: Objects, document: Document, key: Key, metric: schema.Metric) -> tuple[str, Key]:
    """The query and where it stands; empty where there is none, which is noted."""
    found = _spec(objects, document, key, metric, schema.PrometheusQuery)
    below: Key = (*key, "metricSource", "spec")
    if found is None:
        return "", below
    if bool(found.query) == bool(found.promql):
        what = "has both query and promql" if found.query else "'query' is missing"
        objects.wrong(document, below, what, expected="one of them" if found.query else "")
        return "", below
    return found.query or found.promql, (*below, "query" if found.query else "promql")


def _over_window(
    objects: Objects, document: Document, queries: Sequence[tuple[str, Key]], *, counter: bool | None
) -> list[str]:
    """The queries of a ratio over ``$window``; one without a range is a mistake, unless all are of plain counters.

    ``counter`` is what the file says of them, None where they are no counts. All or none: beside a ``rate`` the
    increase of the other would be off by the length of the range.
    """
    found = [with_window(query) for query, _ in queries]
    increases = [grown(query) for query in found]
    if counter and all(increases):
        return increases
    for query, increase, (_, key) in zip(found, increases, queries, strict=True):
        if query and WINDOW not in query:
            likely = proposed(query, counter=counter is True)
            hint = f"did you mean {likely!r}?" if likely else ""
            if increase and counter is not None:
                hint = f"did you mean {increase!r}?" if counter else f"'counter: true' takes it for {increase!r}"
            expected = f"a query over the range {WINDOW}, such as sum(increase(errors_total[{WINDOW}]))"
            objects.wrong(document, key, f"has no {WINDOW}", expected=expected, hint=hint)
    return found


def _threshold(objects: Objects, document: Document, key: Key, metric: schema.Metric) -> Sli | None:
    type_ = _type(objects, document, key, metric)
    if type_ == "prometheus":
        query, _ = _prometheus(objects, document, key, metric)
        return Sli(value_query=with_window(query)) if query else None
    value = _spec(objects, document, key, metric, schema.ServedrillValue) if type_ else None
    if value is None:
        return None
    below = (*key, "metricSource", "spec")
    if value.measure not in MEASURES:
        _unknown(objects, document, (*below, "measure"), value.measure, MEASURES, COUNTS)
        return None
    if (value.measure == OBSERVED) != bool(value.name):
        what = "'name' is missing" if value.measure == OBSERVED else "'name' is for the measure 'observed' only"
        objects.wrong(document, (*below, "name") if value.name else below, what)
    deadlines = value.measure in VALUES and VALUES[value.measure].deadlines
    limits = value.measure in RATES and RATES[value.measure].limits
    return Sli(
        measure=value.measure,
        cls=value.cls,
        limits=_limits(objects, document, below, value, deadlines=deadlines, limits=limits),
        observed=value.name,
        selector=value.selector,
    )


def _ratio(objects: Objects, document: Document, key: Key, metric: schema.RatioMetric) -> Sli | None:
    numerators = [name for name in ("good", "bad", "raw") if getattr(metric, name) is not None]
    if len(numerators) != 1:
        objects.wrong(
            document, key, f"has {' and '.join(numerators) or 'no numerator'}", expected="one of good, bad, raw"
        )
        return None
    numerator = numerators[0]
    if (metric.total is None) != (numerator == "raw"):
        objects.wrong(
            document,
            key,
            "'total' is missing" if metric.total is None else "'total' beside 'raw'",
            expected="good or bad with total, or raw alone",
        )
        return None
    if (metric.raw_type is not None) != (numerator == "raw"):
        objects.wrong(document, key, "'rawType' goes with 'raw', and 'raw' with it")
    upper: schema.Metric = getattr(metric, numerator)
    types = [_type(objects, document, (*key, numerator), upper)]
    if metric.total is not None:
        types.append(_type(objects, document, (*key, "total"), metric.total))
    if "" in types:
        return None
    if len(set(types)) > 1:
        objects.wrong(document, key, f"{numerator} and total are of different types", expected="one type")
        return None
    if types[0] == "prometheus":
        return _prometheus_ratio(objects, document, key, metric, numerator, upper)
    if numerator != "good" or metric.total is None:
        objects.wrong(document, (*key, numerator), "servedrill counts good ones of all", expected="good and total")
        return None
    return _counts(objects, document, key, upper, metric.total, counter=metric.counter is True)


def _prometheus_ratio(
    objects: Objects, document: Document, key: Key, metric: schema.RatioMetric, numerator: str, upper: schema.Metric
) -> Sli:
    told = [_prometheus(objects, document, (*key, numerator), upper)]
    if metric.total is None:
        (query,) = _over_window(objects, document, told, counter=None)
        return Sli(ratio_query=query if metric.raw_type != "failure" else f"1 - ({query})")
    told.append(_prometheus(objects, document, (*key, "total"), metric.total))
    query, total = _over_window(objects, document, told, counter=metric.counter is True)
    return Sli(
        good_query=query if numerator == "good" else "",
        bad_query=query if numerator == "bad" else "",
        total_query=total,
    )


def _counts(
    objects: Objects,
    document: Document,
    key: Key,
    good_metric: schema.Metric,
    total_metric: schema.Metric,
    *,
    counter: bool,
) -> Sli | None:
    good = _spec(objects, document, (*key, "good"), good_metric, schema.ServedrillCount)
    total = _spec(objects, document, (*key, "total"), total_metric, schema.ServedrillCount)
    if good is None or total is None:
        return None
    where_good, where_total = ((*key, name, "metricSource", "spec") for name in ("good", "total"))
    pairs = {count.good: name for name, count in COUNTS.items()}
    if good.count not in pairs:
        _unknown(objects, document, (*where_good, "count"), good.count, pairs, ())
        return None
    measure = pairs[good.count]
    count = COUNTS[measure]
    if total.count != count.total:
        objects.wrong(
            document,
            (*where_total, "count"),
            f"{total.count!r} is not what {good.count!r} is a part of",
            expected=repr(count.total),
        )
    if total.cls != good.cls:
        objects.wrong(
            document,
            (*where_total, "class") if total.cls else where_total,
            f"class {total.cls!r}, but good is of {good.cls!r}",
            expected="the same class",
        )
    limits = _limits(objects, document, where_good, good, deadlines=count.deadlines, limits=count.limits)
    for name in ("ttft_s", "tpot_s", "max_stall_s"):
        if getattr(total, name) is not None:
            objects.wrong(document, (*where_total, name), f"{name} has no use in total", expected="it in good")
    queries = [(good.promql, (*where_good, "promql")), (total.promql, (*where_total, "promql"))]
    good_query, total_query = _over_window(objects, document, queries, counter=counter)
    if bool(good.promql) != bool(total.promql):
        objects.wrong(document, key, "promql in one of good and total", expected="it in both")
    return Sli(
        measure=measure,
        cls=good.cls,
        limits=limits,
        selector=good.selector or total.selector,
        good_query=good_query,
        total_query=total_query,
    )


def _limits(
    objects: Objects,
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
            objects.wrong(
                document,
                (*key, name),
                f"{name} has no use here",
                hint="the limit of a value is `value` of the objective",
            )
        elif value is not None and not value > 0:
            objects.wrong(document, (*key, name), f"is {value:g}", expected="seconds above 0")
        elif value is None and deadlines and name != "max_stall_s":
            objects.wrong(document, key, f"'{name}' is missing", expected="the deadlines ttft_s and tpot_s")
    return Objective(**given)


def _unknown(objects: Objects, document: Document, key: Key, word: str, known: Any, elsewhere: Any) -> None:
    hint = meant(word, known)
    if word in elsewhere:
        hint = f"{word} is a ratio: write ratioMetric with {COUNTS[word].good} and {COUNTS[word].total}"
    objects.wrong(document, key, f"{word!r} is not measured", expected=" or ".join(known), hint=hint)


def _at(value: Any, key: Key) -> Any:
    for step in key:
        value = value[step]
    return value


def _keys(type_: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.encode_name for field in msgspec.structs.fields(type_))
