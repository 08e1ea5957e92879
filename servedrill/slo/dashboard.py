"""A Grafana dashboard from the same SLOs as the rules: budgets, burn rates, and what an LLM service shows of itself."""

from __future__ import annotations

from typing import Any

from servedrill.dialect import vllm as names
from servedrill.slo.alerting import windows_of
from servedrill.slo.promql import Query, query_of
from servedrill.slo.rules import LEFT, recorded
from servedrill.slo.slo import Slo

SCHEMA_VERSION = 39
"""Grafana 11; newer ones read it and move it on."""
SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _STAT_WIDTH = 24, 6


def dashboard_of(slos: list[Slo], *, title: str = "LLM service objectives") -> dict[str, Any]:
    """As Grafana imports it: Dashboards, New, Import."""
    told = [slo for slo in slos if isinstance(query_of(slo), Query)]
    panels: list[dict[str, Any]] = [_row("Error budgets")]
    for slo in told:
        name = slo.name + (" (SLA)" if slo.agreement == "sla" else "")
        left, steps = f'{LEFT}{{slo="{slo.name}"}}', [(None, "red"), (0, "orange"), (0.25, "green")]
        panels.append(
            _panel("stat", f"{name}: budget left", [(left, "")], unit="percentunit", width=_STAT_WIDTH, steps=steps)
        )
    panels.append(_row("Burn rates: 1 spends the budget exactly in its period"))
    for slo in told:
        alerts = [alert for alert in windows_of(slo) if alert.threshold(slo.target) < 1]
        if not alerts:
            continue
        burns = [
            (f"{recorded(slo, window_s)} / {slo.budget_ratio:.10g}", legend)
            for alert in alerts[:1]
            for window_s, legend in ((alert.short_s, "short window"), (alert.long_s, "long window"))
        ]
        panels.append(
            _panel("timeseries", f"{slo.name}: burn rate", burns, steps=[(None, "green"), (alerts[0].factor, "red")])
        )
    panels.append(_row("Engines"))
    panels += [_panel("timeseries", what, targets, unit=unit) for what, unit, targets in _engines()]
    _place(panels)
    return {
        "title": title,
        "uid": "servedrill-slo",
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "tags": ["servedrill", "slo"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {
            "list": [
                {
                    "name": "alerts",
                    "enable": True,
                    "iconColor": "red",
                    "datasource": SOURCE,
                    "expr": 'ALERTS{alertstate="firing", severity="page"}',
                    "titleFormat": "{{alertname}} {{slo}}",
                }
            ]
        },
        "panels": panels,
    }


def _engines() -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Title, unit, and queries with their legends."""
    return [
        ("Time to first token", "s", _quantiles(names.TTFT, 0.5, 0.95, 0.99)),
        ("Time per output token", "s", _quantiles(names.TPOT, 0.5, 0.95, 0.99)),
        ("Gap between tokens", "s", _quantiles(names.ITL, 0.5, 0.99)),
        ("Tokens generated", "short", [(_rate(names.GENERATED, "model_name"), "{{model_name}} tokens/s")]),
        ("Requests", "short", [(names.RUNNING, "running {{instance}}"), (names.WAITING, "waiting {{instance}}")]),
        ("KV cache", "percentunit", [(names.KV_USAGE, "{{instance}}")]),
        ("Ended, by reason", "reqps", [(_rate(names.ENDED, "finished_reason"), "{{finished_reason}}")]),
        (
            "Refused and preempted",
            "reqps",
            [
                (_rate(names.REFUSED, "reason"), "refused: {{reason}}"),
                (f"sum(rate({names.PREEMPTIONS}[1m]))", "preempted"),
            ],
        ),
    ]


def _rate(name: str, label: str) -> str:
    return f"sum by ({label}) (rate({name}[1m]))"


def _quantiles(name: str, *quantiles: float) -> list[tuple[str, str]]:
    buckets = f"sum by (le, model_name) (rate({name}_bucket[5m]))"
    return [(f"histogram_quantile({q}, {buckets})", f"p{q * 100:g} {{{{model_name}}}}") for q in quantiles]


def _row(title: str) -> dict[str, Any]:
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": _WIDTH, "h": 1}}


def _panel(
    kind: str,
    title: str,
    targets: list[tuple[str, str]],
    *,
    unit: str = "short",
    width: int = 12,
    steps: list[tuple[float | None, str]] | None = None,
) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": unit} if kind == "stat" else {"unit": unit, "min": 0}
    if steps:
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in steps],
        }
        defaults["custom"] = {"thresholdsStyle": {"mode": "dashed"}}
    return {
        "type": kind,
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": 4 if kind == "stat" else 8},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expr, "legendFormat": legend or "__auto"}
            for index, (expr, legend) in enumerate(targets)
        ],
    }


def _place(panels: list[dict[str, Any]]) -> None:
    """From left to right, a new line where one is full; ids as Grafana wants them."""
    x = y = height = 0
    for index, panel in enumerate(panels, start=1):
        place = panel["gridPos"]
        if x + place["w"] > _WIDTH or panel["type"] == "row":
            x, y, height = 0, y + height, 0
        panel["id"] = index
        place |= {"x": x, "y": y}
        x, height = x + place["w"], max(height, place["h"])
