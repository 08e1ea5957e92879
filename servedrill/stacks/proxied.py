"""What a drill sees of a stack's fault proxies."""

from __future__ import annotations

from servedrill.stacks.proxies import Proxies


class ThroughProxies:
    """`servedrill.stacks.protocols.Proxied`, for a stack that has `Proxies`."""

    _proxies: Proxies

    def proxy_api(self) -> str:
        """``host:port`` of the control API. Raises `StackError` where no hop has a proxy."""
        return self._proxies.address

    def hops(self) -> list[str]:
        """The hops that have one."""
        return self._proxies.names

    def hop_address(self, hop: str) -> str:
        """``host:port`` where a hop is entered."""
        return self._proxies.listen_of(hop)
