"""Bugs that show when something is ill and does not say so."""

from __future__ import annotations

from typing import Any

from servedrill.refstack.control.alert_rules import AlertRules, Fact
from servedrill.refstack.engine.gauges import RefreshAlways
from servedrill.refstack.engine.readiness import EngineState, Readiness
from servedrill.refstack.gateway.health import ActiveHealth
from servedrill.refstack.gateway.outlier import SlowOutlier


class HealthyWhileFrozen(Readiness):
    """A core that says nothing any more is healthy as long as its process lives (S2: vllm#36130)."""

    caught_by = "gray_failure"

    def ready(self, state: EngineState) -> bool:
        state.core_silent_s = 0.0
        return super().ready(state)


class SlowIsWell(SlowOutlier):
    """An engine that is far slower than the others is no worse than they are (S4: vllm#54919)."""

    caught_by = "gray_failure"

    def slow(self, upstream: str, now: float) -> bool:
        return False


class OnceSlowAlwaysSlow(SlowOutlier):
    """An engine that was slow once is never asked again (G1)."""

    caught_by = "gray_failure"

    def token(self, upstream: str, gap_s: float, now: float) -> None:
        if not self.pace(upstream).suspect:
            super().token(upstream, gap_s, now)

    def allows(self, upstream: str, *, in_flight: int, now: float) -> bool:
        return not self.pace(upstream).suspect


class OutAfterThreeFlaps(ActiveHealth):
    """An engine that came and went a few times is out for good (G12)."""

    caught_by = "gray_failure"

    def __init__(self, limits: Any) -> None:
        super().__init__(limits)
        self.flaps: dict[str, int] = {}

    def observe(self, upstream: str, *, status: int | None, models: frozenset[str]) -> None:
        was = self.record(upstream).healthy
        super().observe(upstream, status=status, models=models)
        if was and not self.record(upstream).healthy:
            self.flaps[upstream] = self.flaps.get(upstream, 0) + 1
        if self.flaps.get(upstream, 0) >= 3:
            self.record(upstream).healthy = False


class NobodyWatchesProgress(AlertRules):
    """Everything stands still, and no alert is about that (S4)."""

    caught_by = "gray_failure"

    def firing(self, facts: list[Fact]) -> list[tuple[str, str]]:
        return [alert for alert in super().firing(facts) if alert[0] != "NoProgress"]


class ProgressOfTheHealthyOnly(AlertRules):
    """Progress is asked of replicas that are well: where none is, nothing can stand still (S6)."""

    caught_by = "gray_failure"

    def firing(self, facts: list[Fact]) -> list[tuple[str, str]]:
        well = {fact.name for fact in facts if fact.role == "engine" and fact.down_s < 0.5}
        return [alert for alert in super().firing(facts) if alert[0] != "NoProgress" or alert[1] in well]


class GaugesOfTheStart(RefreshAlways):
    """Gauges are told once in a long while, and whoever goes by them goes by what was (S1, G11)."""

    caught_by = "gray_failure"

    def __init__(self) -> None:
        self.asked = 0

    def due(self, *, stepped: bool, changed: bool) -> bool:
        self.asked += 1
        return self.asked < 3 or self.asked % 120 == 0
