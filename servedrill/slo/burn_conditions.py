"""Alert policies of SLO files: burn-rate conditions that take the place of the usual windows."""

from __future__ import annotations

from servedrill.files.documents import Document
from servedrill.files.places import Key
from servedrill.slo import durations, schema
from servedrill.slo.objects import Objects
from servedrill.slo.slo import BurnCondition


def conditions_of(objects: Objects, document: Document, spec: schema.SloSpec) -> list[BurnCondition]:
    """Of all of an SLO's alert policies, in place or referred to; what is wrong with them is noted."""
    found: list[BurnCondition] = []
    for index, use in enumerate(spec.alert_policies or []):
        key: Key = ("spec", "alertPolicies", index)
        if bool(use.alert_policy_ref) == (use.spec is not None):
            objects.wrong(
                document,
                key,
                "names and is a policy" if use.spec else "is no policy",
                expected="either alertPolicyRef or a policy in place",
            )
        elif use.spec is not None:
            found += policy_of(objects, document, (*key, "spec"), use.spec, use.metadata.name if use.metadata else "")
        else:
            known = objects.named("AlertPolicy", use.alert_policy_ref, document, (*key, "alertPolicyRef"))
            if known is not None:
                found += policy_of(objects, known.document, ("spec",), known.object.spec, known.object.metadata.name)
    return found


def policy_of(
    objects: Objects, document: Document, key: Key, spec: schema.AlertPolicySpec, name: str
) -> list[BurnCondition]:
    """Of the policy whose spec stands at ``key``; ``name`` is for conditions in place that have none of their own."""
    if len(spec.conditions) != 1:
        objects.wrong(document, (*key, "conditions"), f"{len(spec.conditions)} conditions", expected="one")
    found = []
    for index, use in enumerate(spec.conditions):
        where: Key = (*key, "conditions", index)
        if use.spec is not None:
            condition, at, known_in = use.spec.condition, (*where, "spec", "condition"), document
            severity, label = use.spec.severity, use.metadata.name if use.metadata else name
        else:
            known = objects.named("AlertCondition", use.condition_ref, document, (*where, "conditionRef"))
            if known is None:
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
                objects.wrong(known_in, (*at, field), f"is {text!r}", expected=durations.FORM)
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
