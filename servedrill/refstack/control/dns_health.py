"""Which gateways the stack's name resolves to: those whose health checks pass."""

from __future__ import annotations

from collections.abc import Sequence

from servedrill.refstack.config import Stack


class DnsHealth:
    """Withdrawn after ``dns_check_failures`` bad probes in a row, back after a good one; all when none is healthy."""

    policy = "dns_health"

    def __init__(self, stack: Stack) -> None:
        self.failures_max = stack.dns_check_failures
        self.ttl_s = stack.dns_ttl_s
        self.failures: dict[str, int] = {}

    def observe(self, address: str, *, ok: bool) -> None:
        """One probe of the gateway's /health ended."""
        self.failures[address] = 0 if ok else self.failures.get(address, 0) + 1

    def answers(self, addresses: Sequence[str]) -> list[str]:
        """The addresses to answer, of all that the name has."""
        healthy = [address for address in addresses if self.failures.get(address, 0) < self.failures_max]
        return healthy or list(addresses)
