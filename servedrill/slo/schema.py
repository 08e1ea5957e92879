"""OpenSLO v1's objects, field by field (https://github.com/OpenSLO/OpenSLO, README).

Only the shape. What the fields mean together is in `servedrill.slo.openslo`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

API_VERSION = "openslo/v1"
Op = Literal["lte", "lt", "gte", "gt"]
Method = Literal["Occurrences", "Timeslices", "RatioTimeslices"]


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Any piece of an object."""


class Metadata(Part, frozen=True, kw_only=True):
    """Name, labels and annotations of an object."""

    name: str
    display_name: str = ""
    labels: dict[str, str | list[str]] = {}
    annotations: dict[str, str] = {}


class MetricSource(Part, frozen=True, kw_only=True):
    """Where a metric comes from: named, or in place with what only its type knows."""

    metric_source_ref: str = ""
    type: str = ""
    spec: dict[str, Any] = {}


class Metric(Part, frozen=True, kw_only=True):
    """One number that a source tells."""

    metric_source: MetricSource


class RatioMetric(Part, frozen=True, kw_only=True):
    """Good or bad events of all, or their ratio as it comes."""

    counter: bool | None = None
    good: Metric | None = None
    bad: Metric | None = None
    total: Metric | None = None
    raw_type: Literal["success", "failure"] | None = None
    raw: Metric | None = None


class SliSpec(Part, frozen=True, kw_only=True):
    """An indicator: a value with a threshold, or a ratio of counts."""

    description: str = ""
    threshold_metric: Metric | None = None
    ratio_metric: RatioMetric | None = None


class Indicator(Part, frozen=True, kw_only=True):
    """An SLI inside of an SLO."""

    metadata: Metadata | None = None
    spec: SliSpec


class Calendar(Part, frozen=True, kw_only=True):
    """When the first of the periods began."""

    start_time: str
    time_zone: str


class TimeWindow(Part, frozen=True, kw_only=True):
    """What is counted over: rolling, or by the calendar."""

    duration: str
    is_rolling: bool | None = None
    calendar: Calendar | None = None


class Objective(Part, frozen=True, kw_only=True):
    """A target, and the limit that a thresholdMetric is compared with."""

    display_name: str = ""
    op: Op | None = None
    value: float | None = None
    target: float | None = None
    target_percent: float | None = None
    time_slice_target: float | None = None
    time_slice_window: str | float | None = None
    indicator: Indicator | None = None
    indicator_ref: str | None = None
    composite_weight: float | None = None


class BurnRate(Part, frozen=True, kw_only=True):
    """How fast the budget may burn, over which window, for how long."""

    kind: Literal["burnrate"] = "burnrate"
    op: Op
    threshold: float
    lookback_window: str
    alert_after: str = "0m"


class AlertConditionSpec(Part, frozen=True, kw_only=True):
    """A condition and how severe it is."""

    description: str = ""
    severity: str
    condition: BurnRate


class AlertConditionUse(Part, frozen=True, kw_only=True):
    """A condition in place, or the name of one."""

    condition_ref: str = ""
    kind: Literal["AlertCondition"] | None = None
    metadata: Metadata | None = None
    spec: AlertConditionSpec | None = None


class TargetSpec(Part, frozen=True, kw_only=True):
    """Who is told."""

    description: str = ""
    target: str


class TargetUse(Part, frozen=True, kw_only=True):
    """A notification target in place, or the name of one."""

    target_ref: str = ""
    kind: Literal["AlertNotificationTarget"] | None = None
    metadata: Metadata | None = None
    spec: TargetSpec | None = None


class AlertPolicySpec(Part, frozen=True, kw_only=True):
    """Which conditions alert, and whom."""

    description: str = ""
    alert_when_no_data: bool = False
    alert_when_resolved: bool = False
    alert_when_breaching: bool = False
    conditions: list[AlertConditionUse]
    notification_targets: list[TargetUse]


class AlertPolicyUse(Part, frozen=True, kw_only=True):
    """A policy in place, or the name of one."""

    alert_policy_ref: str = ""
    kind: Literal["AlertPolicy"] | None = None
    metadata: Metadata | None = None
    spec: AlertPolicySpec | None = None


class SloSpec(Part, frozen=True, kw_only=True):
    """A promise: an indicator, objectives, a period, a way of counting."""

    description: str = ""
    service: str
    indicator: Indicator | None = None
    indicator_ref: str | None = None
    time_window: list[TimeWindow] = []
    budgeting_method: Method
    objectives: list[Objective]
    alert_policies: list[AlertPolicyUse] | None = None


class DataSourceSpec(Part, frozen=True, kw_only=True):
    """A server of metrics."""

    description: str = ""
    type: str
    connection_details: dict[str, Any] = {}


class ServiceSpec(Part, frozen=True, kw_only=True):
    """A service that makes promises."""

    description: str = ""


class _Object(Part, frozen=True, kw_only=True):
    api_version: Literal["openslo/v1"]
    metadata: Metadata


class SloObject(_Object, frozen=True, kw_only=True):
    """An SLO, or an SLA by its label."""

    kind: Literal["SLO"]
    spec: SloSpec


class SliObject(_Object, frozen=True, kw_only=True):
    """An indicator that SLOs refer to."""

    kind: Literal["SLI"]
    spec: SliSpec


class DataSourceObject(_Object, frozen=True, kw_only=True):
    """A server of metrics that sources refer to."""

    kind: Literal["DataSource"]
    spec: DataSourceSpec


class ServiceObject(_Object, frozen=True, kw_only=True):
    """A service that SLOs are of."""

    kind: Literal["Service"]
    spec: ServiceSpec


class AlertPolicyObject(_Object, frozen=True, kw_only=True):
    """A policy that SLOs refer to."""

    kind: Literal["AlertPolicy"]
    spec: AlertPolicySpec


class AlertConditionObject(_Object, frozen=True, kw_only=True):
    """A condition that policies refer to."""

    kind: Literal["AlertCondition"]
    spec: AlertConditionSpec


class AlertNotificationTargetObject(_Object, frozen=True, kw_only=True):
    """A target that policies refer to."""

    kind: Literal["AlertNotificationTarget"]
    spec: TargetSpec


KINDS: dict[str, type[_Object]] = {
    "SLO": SloObject,
    "SLI": SliObject,
    "DataSource": DataSourceObject,
    "Service": ServiceObject,
    "AlertPolicy": AlertPolicyObject,
    "AlertCondition": AlertConditionObject,
    "AlertNotificationTarget": AlertNotificationTargetObject,
}


# ---- what servedrill puts into a metric source's spec, OpenSLO's place for what only one implementation knows


class ServedrillValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"cls": "class"}):
    """``spec`` of a thresholdMetric's source: one value for each request, each time slice or each observation."""

    measure: str
    cls: str = ""
    name: str = ""
    """Of the observation that a drill writes down, for the measure ``observed``."""
    ttft_s: float | None = None
    tpot_s: float | None = None
    max_stall_s: float | None = None
    selector: str = ""
    """Label matchers that keep this class apart from others in Prometheus: ``model_name="chat"``."""


class ServedrillCount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"cls": "class"}):
    """``spec`` of the sources of a ratioMetric's ``good`` and ``total``."""

    count: str
    cls: str = ""
    ttft_s: float | None = None
    tpot_s: float | None = None
    max_stall_s: float | None = None
    selector: str = ""
    promql: str = ""
    """What Prometheus has to evaluate for this count; ``$window`` stands for the range."""


class PrometheusQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``spec`` of a source of type Prometheus; ``$window`` stands for the range."""

    query: str = ""
    promql: str = ""
    """What Nobl9 calls the same."""
