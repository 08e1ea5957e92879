"""When /health answers 200: the engine can serve, now, at speed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class EngineState:
    """What the API server knows of itself and of its core; ``*_s`` are seconds."""

    loaded: bool = False
    """Weights are in memory."""
    warm: bool = False
    """Warm-up is over: steps run at speed."""
    load_failed: bool = False
    core_alive: bool = True
    core_silent_s: float = 0.0
    """Since the core last answered a ping or made a step."""
    draining: bool = False
    swapping: bool = False
    sleeping: bool = False
    open_requests: int = 0


class Readiness:
    """Loaded, warm, with a core that is alive and makes progress; busy is not unhealthy."""

    policy = "readiness"

    def __init__(self, stall_s: float) -> None:
        self.stall_s = stall_s

    def ready(self, state: EngineState) -> bool:
        """Whether traffic should come here."""
        return (
            state.loaded
            and state.warm
            and state.core_alive
            and state.core_silent_s < self.stall_s
            and not (state.draining or state.swapping or state.sleeping)
        )

    def exits_on_core_death(self) -> bool:
        """Whether the API server ends itself when its core is gone, so that a supervisor starts both again."""
        return True
