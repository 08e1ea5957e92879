"""What the observer makes of what it reads."""

from __future__ import annotations

from typing import Any

import pytest

from servedrill.drill.observer import _alert_seen


def listed(**status: Any) -> dict[str, Any]:
    """An alert as Alertmanager's v2 API lists it (the body that prometheus/alertmanager#3513 shows)."""
    lists = {"silencedBy": [], "inhibitedBy": [], "mutedBy": []}
    return {
        "fingerprint": "3fff2c2d7595e046",
        "labels": {"alertname": "ReplicaDown", "instance": "engine-0"},
        "status": {"state": "active", **lists, **status},
    }


@pytest.mark.parametrize(
    ("alert", "state", "by"),
    [
        (listed(), "firing", []),
        (listed(state="suppressed", silencedBy=["s-1"]), "suppressed", ["silence s-1"]),
        (listed(state="suppressed", inhibitedBy=["f-2"]), "suppressed", ["inhibited by f-2"]),
        (listed(mutedBy=["nights"]), "suppressed", ["muted by nights"]),
        ({"fingerprint": "f", "labels": {"alertname": "ReplicaDown"}}, "firing", []),
    ],
    ids=["active", "silenced", "inhibited", "muted", "no-status"],
)
def test_an_alert_that_tells_nobody_is_not_firing(alert: dict[str, Any], state: str, by: list[str]) -> None:
    """Alertmanager lists silenced, inhibited and muted alerts beside the others; they notify nobody."""
    seen = _alert_seen(alert)
    assert (seen.alert, seen.state, seen.by) == ("ReplicaDown", state, by)
