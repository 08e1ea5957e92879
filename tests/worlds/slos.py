"""SLO files of tests: a plain one, and ways to change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from servedrill.commands.main import main

PLAIN: dict[str, Any] = {
    "apiVersion": "openslo/v1",
    "kind": "SLO",
    "metadata": {"name": "chat-ttft", "annotations": {"servedrill/when-spent": "roll-back"}},
    "spec": {
        "service": "chat",
        "indicator": {
            "spec": {
                "thresholdMetric": {
                    "metricSource": {"type": "servedrill", "spec": {"measure": "ttft_s", "class": "chat"}}
                }
            }
        },
        "timeWindow": [{"duration": "4w", "isRolling": True}],
        "budgetingMethod": "Occurrences",
        "objectives": [{"op": "lte", "value": 0.5, "targetPercent": 99.9}],
    },
}

AVAILABILITY = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: answers}
spec:
  service: chat
  indicator:
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: servedrill, spec: {count: whole}}}
        total: {metricSource: {type: servedrill, spec: {count: attempted}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{targetPercent: 99.9}]
"""
"""Whole answers of all, on the metrics of an engine."""


def changed(path: str, value: Any, *, drop: bool = False) -> dict[str, Any]:
    """The plain SLO with one thing another way."""
    copy: Any = json.loads(json.dumps(PLAIN))
    *above, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = copy
    for step in above:
        place = place[step]
    if drop:
        del place[last]
    else:
        place[last] = value
    return copy


def written(folder: Path, text: str | dict[str, Any] | list[Any], name: str = "slo.yaml") -> Path:
    path = folder / name
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False))
    return path


def rules_file(folder: Path, *files: Path) -> Path:
    """What `servedrill alerts rules` writes for the files."""
    path = folder / "rules.yml"
    assert main(["alerts", "rules", *map(str, files), "-o", str(path)]) == 0
    return path
