"""How the stack is reached: directly, past any proxy that the environment names (``HTTP_PROXY`` and its like), as the
load does."""

from __future__ import annotations

import os
import ssl
from functools import cache
from typing import Any

import httpx


def direct() -> dict[str, Any]:
    """Arguments for `httpx.Client`, `httpx.get` and their like.

    All share one TLS context: httpx reads the certificate authorities for each client and each single call otherwise,
    30 to 45 ms of CPU time.
    """
    return {"trust_env": False, "verify": _tls_context()}


def reach_directly(*hosts: str) -> None:
    """The same for libraries of others, and for what is started from here: the hosts join
    ``NO_PROXY``."""
    known = [host for host in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")).split(",") if host]
    if "*" not in known:
        known += [host for host in hosts if host not in known]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(known)


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()
