"""The circuit breaker, one for each upstream: stops sending to what fails, and probes its way back."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.refstack.config import GatewayLimits
from servedrill.refstack.gateway.outcome import Outcome

CLOSED, OPEN, HALF_OPEN = 0, 1, 2


@dataclass(slots=True)
class Circuit:
    """One upstream's breaker; ``failed`` (the last failure) and ``opened`` are loop times in seconds."""

    state: int = CLOSED
    failures: int = 0
    failed: float = 0.0
    opened: float = 0.0
    probing: bool = False


class CircuitBreaker:
    """Opens after ``breaker_failures`` failures in a row; after ``breaker_open_s`` one request probes it.

    An answer to the probe closes it, a failure opens it again.

    A caller's fault (4xx) counts neither way, and a stream counts by how it ended, not by how it began.
    """

    policy = "breaker"

    def __init__(self, limits: GatewayLimits) -> None:
        self.limits = limits
        self.circuits: dict[str, Circuit] = {}

    def circuit(self, upstream: str) -> Circuit:
        """The circuit of an upstream, closed where nothing is known of it."""
        return self.circuits.setdefault(upstream, Circuit())

    def allows(self, upstream: str, now: float) -> bool:
        """Whether a request may go there now."""
        circuit = self.circuit(upstream)
        if circuit.state == OPEN and now - circuit.opened >= self.limits.breaker_open_s:
            circuit.state, circuit.probing = HALF_OPEN, False
        return circuit.state == CLOSED or (circuit.state == HALF_OPEN and not circuit.probing)

    def began(self, upstream: str) -> None:
        """A request went there; in half-open state it is the probe."""
        circuit = self.circuit(upstream)
        if circuit.state == HALF_OPEN:
            circuit.probing = True

    def record(self, outcome: Outcome, now: float) -> None:
        """A try has ended."""
        circuit = self.circuit(outcome.upstream)
        if outcome.ok:
            if outcome.began >= circuit.failed:  # a stream that began before says nothing of how it is now
                circuit.state, circuit.failures, circuit.probing = CLOSED, 0, False
        elif outcome.neutral:
            circuit.probing = False
        else:
            circuit.failures, circuit.failed = circuit.failures + 1, now
            if circuit.state == HALF_OPEN or circuit.failures >= self.limits.breaker_failures:
                circuit.state, circuit.opened, circuit.probing = OPEN, now, False
