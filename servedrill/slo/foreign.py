"""SLO files of other tools: what they are, and what makes OpenSLO v1 of them.

Looked at field by field they would be full of mistakes, and none of these would say what is the matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from servedrill.files.places import Key

_SLOTH = (
    "write an object of kind SLO for each of its slos: a ratioMetric with error_query as 'bad' and total_query as "
    "'total', objective as targetPercent; {{.window}} may stay"
)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A file of something else."""

    key: Key
    """Where that can be seen."""
    what: str
    hint: str


def foreign(value: dict[str, Any]) -> Foreign | None:
    """What an object is that is known to be no OpenSLO v1; None for every other."""
    version, kind = str(value.get("apiVersion", "")), value.get("kind")
    if "kind" not in value and "slos" in value and str(value.get("version", "")).startswith("prometheus/"):
        return Foreign(("version",), "is a Sloth file", _SLOTH)
    if version.startswith("sloth.") or kind == "PrometheusServiceLevel":
        return Foreign(("kind",), "is a Sloth file, of the kind for Kubernetes", _SLOTH)
    if version.startswith("sre.google.com/"):
        return Foreign(
            ("apiVersion",),
            "is a file of slo-generator",
            "write an object of kind SLO with its filters or expressions as queries, its goal as target",
        )
    if kind == "ServiceLevelObjective":
        return Foreign(
            ("kind",),
            "is a Pyrra file",
            "write an object of kind SLO: a ratioMetric with 'counter: true', errors as 'bad' and total as 'total', "
            "window as timeWindow, target as targetPercent",
        )
    if version.startswith("n9/"):
        return Foreign(
            ("apiVersion",),
            "is a Nobl9 file",
            "write it as OpenSLO v1, where indicator holds the metrics and objectives the targets",
        )
    if version == "openslo/v1alpha":
        return Foreign(
            ("apiVersion",),
            "is OpenSLO v1alpha, which has another shape",
            "in v1 the metrics are in indicator and not in objectives, and timeWindows is "
            "'timeWindow: [{duration: 28d, isRolling: true}]'",
        )
    return None
