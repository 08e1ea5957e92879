"""Prometheus rules from SLOs: recorded ratios, burn-rate alerts, what is left of the budget; and the LLM alerts."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from servedrill.slo.alerting import unwatched, windows_of
from servedrill.slo.durations import short
from servedrill.slo.llm_rules import TTFT_S, llm_alerts
from servedrill.slo.promql import Query, query_of
from servedrill.slo.slo import SIGNS, Slo
from servedrill.slo.windows import absent_for_s

INTERVAL = "30s"
BAD = "servedrill:sli_bad:ratio_"
"""And the window: the share of bad events in it."""
TARGET = "servedrill:slo_target:ratio"
LEFT = "servedrill:budget_left:ratio"
ALERT = "SloBurnRate"


class RuleFile(msgspec.Struct, frozen=True, kw_only=True):
    """Groups as Prometheus reads them, and what somebody who uses them has to know."""

    groups: list[dict[str, Any]]
    notes: list[str]

    def text(self) -> str:
        """As Prometheus reads it: YAML, with the notes as comments above."""
        head = [
            "# Written by `servedrill alerts rules`. Change the SLO file, not this.",
            *(f"# {note}" for note in self.notes),
        ]
        body = yaml.dump({"groups": self.groups}, Dumper=_Plain, sort_keys=False, width=4096, allow_unicode=True)
        return "\n".join(head) + "\n" + body


class _Plain(yaml.SafeDumper):
    """Says everything where it belongs: rules are read by people too, and one by one."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def rules_of(slos: list[Slo]) -> RuleFile:
    """One group for each SLO that Prometheus can tell, and one for the LLM alerts."""
    groups: list[dict[str, Any]] = []
    notes: list[str] = []
    for slo in slos:
        query = query_of(slo)
        if not isinstance(query, Query):
            notes.append(f"{slo.name}: no rules: {query}")
            continue
        if query.note:
            notes.append(f"{slo.name}: {query.note}")
        if slo.method != "Occurrences":
            notes.append(
                f"{slo.name}: burn rates are ratios of events; {slo.method} are kept to when a history is judged"
            )
        rules, said = _rules_of(slo, query)
        notes += said
        groups.append({"name": f"servedrill-slo-{slo.name}", "interval": INTERVAL, "rules": rules})
    limits = [slo.sli.limit for slo in slos if slo.sli.measure in ("ttft_s", "ttft_service_s") and slo.sli.limit]
    targets = [(slo.period_s, slo.target) for slo in slos if slo.agreement == "slo"]
    absent_s = min((max(60.0, absent_for_s(period_s, target)) for period_s, target in targets), default=180.0)
    groups.append(
        {
            "name": "servedrill-llm",
            "interval": INTERVAL,
            "rules": [
                {
                    "alert": alert.name,
                    "expr": alert.expr,
                    "for": alert.for_,
                    "labels": {"severity": alert.severity},
                    "annotations": {"summary": alert.says},
                }
                for alert in llm_alerts(ttft_s=min(limits, default=TTFT_S), absent_for=short(absent_s))
            ],
        }
    )
    return RuleFile(groups=groups, notes=notes)


def recorded(slo: Slo, window_s: float) -> str:
    """The recorded ratio of bad events over a window."""
    return f'{BAD}{short(window_s)}{{slo="{slo.name}"}}'


def _rules_of(slo: Slo, query: Query) -> tuple[list[dict[str, Any]], list[str]]:
    labels = {"slo": slo.name, "service": slo.service, "agreement": slo.agreement}
    alerts = windows_of(slo)
    windows = {window_s for alert in alerts for window_s in (alert.long_s, alert.short_s)} | {
        condition.window_s for condition in slo.conditions if slo.agreement == "slo"
    }
    rules: list[dict[str, Any]] = [
        {"record": f"{BAD}{short(window_s)}", "expr": query.over(window_s), "labels": labels}
        for window_s in sorted(windows)
    ]
    budget = f"{slo.budget_ratio:.10g}"
    rules.append({"record": TARGET, "expr": f"vector({slo.target:.10g})", "labels": labels})
    rules.append({"record": LEFT, "expr": f"1 - ({query.over(slo.period_s)}) / {budget}", "labels": labels})
    without = unwatched(slo)
    notes = [f"{slo.name}: {without}"] if without else []
    for alert in alerts:
        between = f"{short(alert.long_s)} and {short(alert.short_s)}"
        if alert.threshold(slo.target) >= 1:
            most = f"a burn rate of {alert.factor:.4g} cannot be reached, all bad is {1 / slo.budget_ratio:.4g}"
            notes.append(f"{slo.name}: no alert over {between}: {most}")
            continue
        above = f"> ({alert.factor:.6g} * {budget})"
        rule = {
            "alert": ALERT,
            "expr": f"{recorded(slo, alert.short_s)} {above} and {recorded(slo, alert.long_s)} {above}",
            "labels": {
                "severity": alert.severity,
                "slo": slo.name,
                "service": slo.service,
                "long": short(alert.long_s),
                "short": short(alert.short_s),
            },
            "annotations": {
                "summary": f"{slo.title or slo.name}: the error budget burns more than {alert.factor:.4g} times as fast"
                f" as it may over {between}.",
            },
        }
        if alert.for_s:
            rule["for"] = short(alert.for_s)
        rules.append(rule)
    for condition in slo.conditions if slo.agreement == "slo" else []:
        burn, sign = recorded(slo, condition.window_s), SIGNS[condition.op]
        rules.append(
            {
                "alert": condition.name or ALERT,
                "expr": f"{burn} {sign} ({condition.factor:.6g} * {budget})",
                "for": short(condition.for_s),
                "labels": {
                    "severity": condition.severity,
                    "slo": slo.name,
                    "service": slo.service,
                    "long": short(condition.window_s),
                },
                "annotations": {
                    "summary": f"{slo.title or slo.name}: burn rate {sign} {condition.factor:g}"
                    f" over {short(condition.window_s)}."
                },
            }
        )
    return rules, notes
