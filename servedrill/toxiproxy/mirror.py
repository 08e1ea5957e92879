"""Whether anybody listens at an upstream: a proxy that mirrors it refuses connections while the upstream would.

A process that was killed refuses connections. A proxy that goes on accepting and then resets is something else to
everybody who retries a refused connection and not a lost one, as HAProxy, nginx and Envoy do by default. So the kernel
is asked who listens on this machine: no connection is made for it, and a process that was stopped still listens.
"""

from __future__ import annotations

import ipaddress

from servedrill.host import sockets
from servedrill.toxiproxy.addresses import split_host_port

LOOK_EVERY_S = 0.02
"""Between the end of a listener and the look that finds it, connections are accepted and reset: real servers do the
same to those that wait in their backlog. Where a connection was open its end is looked at at once."""


def upstream_listens(upstream: str) -> bool | None:
    """None where that cannot be known: the upstream is on another machine or in another network, or the kernel does not
    say."""
    try:
        host, port = split_host_port(upstream)
        host = "127.0.0.1" if host in ("", "localhost") else host
        if not ipaddress.ip_address(host).is_loopback:
            return None
        return sockets.listening()(host, port)
    except (ValueError, OSError):
        return None
