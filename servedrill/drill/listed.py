"""What the observer reads as lists: alerts of an Alertmanager, exchanges of a fault proxy."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from servedrill.history.events import AlertSeen, Exchange
from servedrill.host.clock import now_ns
from servedrill.secrecy.known import name, names


class AlertStatus(msgspec.Struct, frozen=True, rename="camel"):
    """Whether an alert tells anybody, and what keeps it from that."""

    state: str = ""
    silenced_by: list[str] | None = None
    inhibited_by: list[str] | None = None
    muted_by: list[str] | None = None

    @property
    def by(self) -> list[str]:
        """Silences, other alerts, mute intervals."""
        ways = (("silence", self.silenced_by), ("inhibited by", self.inhibited_by), ("muted by", self.muted_by))
        return [f"{how} {name}" for how, names in ways for name in names or ()]


class ListedAlert(msgspec.Struct, frozen=True):
    """As Alertmanager's v2 API lists it. It lists those that tell nobody, too, unless it is asked not to."""

    fingerprint: str
    labels: dict[str, str]
    status: AlertStatus | None = None

    def event(self) -> AlertSeen:
        """Now."""
        status = self.status or AlertStatus()
        by = status.by
        state: Literal["suppressed", "firing"] = "suppressed" if by or status.state == "suppressed" else "firing"
        labels = {name(label): name(value) for label, value in self.labels.items()}
        return AlertSeen(t_ns=now_ns(), alert=labels.get("alertname", ""), labels=labels, state=state, by=names(by))


class TapPage(msgspec.Struct, frozen=True):
    """What changed since the page before; ``next`` is where the one after begins."""

    next: int
    exchanges: list[dict[str, Any]]
    """Those of `Exchange`, but for the hop and the instant of the event."""

    def events(self, hop: str) -> list[Exchange]:
        """Of what was asked of models. Raises `msgspec.ValidationError` for what is no exchange."""
        here = {"t_ns": now_ns(), "hop": hop}
        events = msgspec.convert([one | here for one in self.exchanges], list[Exchange])
        return [event for event in events if event.method == "POST"]
