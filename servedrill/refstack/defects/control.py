"""Bugs of what surrounds gateways and engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from servedrill.refstack.control.alert_rules import AlertRules, Fact
from servedrill.refstack.control.canary import Canary
from servedrill.refstack.control.dns_health import DnsHealth
from servedrill.refstack.control.restart import RestartWhenGone
from servedrill.refstack.gateway.versions import VersionStats


class NoCanaryCheck(Canary):
    """Every candidate is promoted (M15 to M19: nobody looked)."""

    caught_by = "model_hot_swap"

    def check_parameters(self, serving: dict[str, Any], candidate: dict[str, Any]) -> str | None:
        return None

    def check_quality(self, *, right: int, asked: int, serving_right: int) -> str | None:
        return None

    def check_traffic(self, serving: VersionStats, candidate: VersionStats) -> str | None:
        return None


class NoQualityCheck(Canary):
    """A candidate is judged by speed and parameters alone."""

    caught_by = "model_hot_swap"

    def check_quality(self, *, right: int, asked: int, serving_right: int) -> str | None:
        return None


class NoSpeedCheck(Canary):
    """A slower candidate takes over."""

    caught_by = "model_hot_swap"

    def check_traffic(self, serving: VersionStats, candidate: VersionStats) -> str | None:
        return None


class NeverRestarted(RestartWhenGone):
    """What died stays dead (R11: xinference#5428)."""

    caught_by = "node_restart"

    def delay_s(self, *, name: str, recent_exits: int) -> float | None:
        return None


class OrphansLeft(RestartWhenGone):
    """What the dead process left behind keeps its memory (R12: vllm#34643)."""

    caught_by = "node_restart"

    def reap(self, group: int) -> None:
        pass

    def gone(self, group: int) -> bool:
        return True


class DnsNeverWithdraws(DnsHealth):
    """The name goes on leading to a gateway that is gone (G7: ingress-nginx#9652)."""

    caught_by = "gateway_failover"

    def answers(self, addresses: Sequence[str]) -> list[str]:
        return list(addresses)


class DnsNeverReturns(DnsHealth):
    """A gateway that was withdrawn once never gets its share again."""

    caught_by = "gateway_failover"

    def observe(self, address: str, *, ok: bool) -> None:
        if not ok or self.failures.get(address, 0) < self.failures_max:
            super().observe(address, ok=ok)


class NobodyIsTold(AlertRules):
    """An engine that the kernel killed is nobody's business (O8: vllm#50150)."""

    caught_by = "out_of_memory"

    def firing(self, facts: list[Fact]) -> list[tuple[str, str]]:
        return [alert for alert in super().firing(facts) if alert[0] != "EngineOutOfMemory"]
