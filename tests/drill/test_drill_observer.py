"""What the observer makes of what it reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from servedrill.drill.observer import Observer, _alert_seen
from servedrill.history.events import CpuWaits, PartSkipped
from servedrill.history.journal import Journal, read_events
from servedrill.history.promises import as_made
from servedrill.host.clock import wait_for
from servedrill.host.run_delay import run_delay_untold
from servedrill.stacks.protocols import Entry, Replica


class Elsewhere:
    """A stack of a URL, on whatever machine."""

    name, shared, promises = "elsewhere", True, as_made({})

    def replicas(self) -> list[Replica]:
        return []

    def entry(self) -> Entry:
        return Entry(base_url="http://127.0.0.1:9")


class Here(Elsewhere):
    """One whose only process is this very one."""

    name = "here"

    def on_cores(self) -> dict[str, int]:
        return {"engine-0": os.getpid()}


@pytest.mark.skipif(bool(run_delay_untold()), reason=run_delay_untold() or "told")
def test_what_processes_waited_for_a_core_is_written_down(tmp_path: Path) -> None:
    """Each look tells of the span since the one before, and of every process of the stack."""
    journal = Journal(tmp_path / "h.jsonl")
    observer = Observer(Here(), journal)
    observer.start()
    wait_for(lambda: b"cpu_waits" in journal.path.read_bytes(), what="a look", within_s=30)
    observer.stop()
    looks = [event for event in read_events(journal.path) if isinstance(event, CpuWaits)]
    assert all(set(look.waited_s) == set(look.ran_s) == {"engine-0"} and look.span_s > 0 for look in looks)
    assert sum(look.ran_s["engine-0"] for look in looks) > 0


def test_a_stack_elsewhere_is_said_not_to_be_looked_at(tmp_path: Path) -> None:
    """Nothing is known of cores of other machines; silence would look like a check that passed."""
    journal = Journal(tmp_path / "h.jsonl")
    observer = Observer(Elsewhere(), journal)
    observer.start()
    observer.stop()
    skipped = [event for event in read_events(journal.path) if isinstance(event, PartSkipped)]
    assert [one.reason for one in skipped] == ["stack 'elsewhere' is not OnCores"]


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
