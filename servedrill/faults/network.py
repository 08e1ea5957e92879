"""Network faults: a hop is slow, silent, torn or gone. They work with any server that speaks Toxiproxy's API.

``hop`` is the name of a gateway, an engine or any other hop that has a proxy (docs/stacks.md).
All but `Down` take besides

    stream     "downstream", answers (the default), or "upstream", requests
    toxicity   the share of connections that it falls on, 0 to 1; 1 unless told otherwise
"""

from __future__ import annotations

import socket
from typing import Any, TypedDict, Unpack

from servedrill.faults.fault import Evidence
from servedrill.faults.figures import at_least, share
from servedrill.faults.streams import http_status
from servedrill.faults.toxic import Direction, Toxic, proxy_at, require_hop, server_at
from servedrill.host.addresses import split_host_port
from servedrill.leases.undo import HttpCall, Undo
from servedrill.stacks.protocols import Proxied

__all__ = [
    "Down", "bandwidth", "black_hole", "connection_reset", "http_status", "latency", "limit_data", "silence_then_close",
    "slicer", "slow_close",
]  # fmt: skip


class Reach(TypedDict, total=False):
    """On which traffic a toxic falls."""

    stream: Direction
    toxicity: float


def latency(stack: Proxied, hop: str, *, ms: int, jitter_ms: int = 0, **reach: Unpack[Reach]) -> Toxic:
    """Every chunk is ``ms`` ± ``jitter_ms`` late. Proven by chunks delayed."""
    at_least(0, ms=ms, jitter_ms=jitter_ms)
    at_least(1, ms=ms + jitter_ms)
    return Toxic(stack, hop, "latency", latency=ms, jitter=jitter_ms, **reach)


def bandwidth(stack: Proxied, hop: str, *, kb_per_s: int, **reach: Unpack[Reach]) -> Toxic:
    """Each connection carries so many times 1,000 bytes a second; 0 carries nothing.

    Proven by chunks that had to wait.
    """
    at_least(0, kb_per_s=kb_per_s)
    return Toxic(stack, hop, "bandwidth", rate=kb_per_s, **reach)


def slow_close(stack: Proxied, hop: str, *, ms: int, **reach: Unpack[Reach]) -> Toxic:
    """Only the end of a connection comes late. Proven by closes delayed."""
    at_least(1, ms=ms)
    return Toxic(stack, hop, "slow_close", delay=ms, **reach)


def black_hole(stack: Proxied, hop: str, **reach: Unpack[Reach]) -> Toxic:
    """Connections open and nothing ever comes through, not even their end: a peer that was stopped behind a living
    socket. The original server lets ends pass (its ``timeout`` of 0). Proven by bytes dropped."""
    share(toxicity=reach.get("toxicity", 1.0))
    require_hop(stack, hop, fault="black_hole")
    if server_at(stack.proxy_api()).keeps_evidence:
        return Toxic(stack, hop, "silence", **reach)
    return Toxic(stack, hop, "timeout", effects=("bytes_dropped",), timeout=0, **reach)


def silence_then_close(stack: Proxied, hop: str, *, after_ms: int, **reach: Unpack[Reach]) -> Toxic:
    """Nothing comes through, and ``after_ms`` after the last chunk the connection closes.

    Proven by connections closed.
    """
    at_least(1, after_ms=after_ms)
    return Toxic(stack, hop, "timeout", timeout=after_ms, **reach)


def connection_reset(stack: Proxied, hop: str, *, after_ms: int = 0, **reach: Unpack[Reach]) -> Toxic:
    """RST to both sides, ``after_ms`` after the first bytes. Proven by connections reset."""
    at_least(0, after_ms=after_ms)
    return Toxic(stack, hop, "reset_peer", timeout=after_ms, **reach)


def slicer(
    stack: Proxied, hop: str, *, average_bytes: int, variation_bytes: int = 0, delay_us: int = 0, **reach: Unpack[Reach]
) -> Toxic:
    """Chunks leave in pieces of ``average_bytes`` ± ``variation_bytes``, ``delay_us`` apart. Proven by chunks cut."""
    at_least(1, average_bytes=average_bytes)
    at_least(0, variation_bytes=variation_bytes, delay_us=delay_us)
    return Toxic(
        stack, hop, "slicer", average_size=average_bytes, size_variation=variation_bytes, delay=delay_us, **reach
    )


def limit_data(stack: Proxied, hop: str, *, bytes_max: int, **reach: Unpack[Reach]) -> Toxic:
    """Every connection ends (FIN) after so many bytes. Proven by connections closed."""
    at_least(0, bytes_max=bytes_max)
    return Toxic(stack, hop, "limit_data", bytes=bytes_max, **reach)


class Down:
    """A hop refuses connections and drops those that it has, as a dead host with a living network does.

    Proven, and proven healed, by an attempt to connect.
    """

    name = "down"

    def __init__(self, stack: Proxied, hop: str) -> None:
        require_hop(stack, hop, fault=self.name)
        self.target, self.attributes = hop, dict[str, Any]()
        self._api = stack.proxy_api()

    def undo(self) -> list[Undo]:
        """Enable the proxy."""
        return [HttpCall(address=self._api, method="POST", path=f"/proxies/{self.target}", body='{"enabled": true}')]

    def inject(self) -> None:
        """Disable the proxy. Raises `FaultError` where there is none."""
        with proxy_at(self._api, self.target) as proxy:
            proxy.disable()

    def evidence(self) -> Evidence:
        """An attempt to connect is refused."""
        accepts = self._accepts()
        return Evidence(proven=not accepts, observed=f"{self.target} {_said(accepts)}")

    def heal(self) -> Evidence:
        """Enable the proxy; an attempt to connect succeeds."""
        for undo in self.undo():
            undo.carry_out()
        accepts = self._accepts()
        return Evidence(proven=accepts, observed=f"{self.target} {_said(accepts)}")

    def _accepts(self) -> bool:
        with proxy_at(self._api, self.target) as proxy:
            host, port = split_host_port(proxy.listen)
        if host in ("", "0.0.0.0", "::"):
            host, _ = split_host_port(self._api)
        try:
            socket.create_connection((host, port), timeout=2).close()
        except ConnectionRefusedError:
            return False
        return True


def _said(accepts: bool) -> str:
    return "accepts connections" if accepts else "refuses connections"
