"""Network faults: toxics at a hop, through Toxiproxy's API; they work with any server that speaks it."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
from toxiproxy import Toxiproxy
from toxiproxy.api import APIConsumer

from servedrill.errors import FaultError
from servedrill.faults.fault import Evidence
from servedrill.faults.undo import HttpCall, Undo
from servedrill.stacks.protocols import Proxied

_numbers = itertools.count(1)


class Toxic:
    """One toxic on one hop; ``stream`` is ``downstream`` (answers) or ``upstream`` (requests)."""

    def __init__(
        self,
        stack: Proxied,
        hop: str,
        kind: str,
        *,
        stream: str = "downstream",
        toxicity: float = 1.0,
        **attributes: Any,
    ) -> None:
        self.name, self.target = kind, hop
        self.attributes = {**attributes, "stream": stream, "toxicity": toxicity}
        self._given = attributes
        self._api, self._stream, self._toxicity = stack.proxy_api(), stream, toxicity
        self._toxic = f"drill_{kind}_{next(_numbers)}"

    def undo(self) -> list[Undo]:
        return [HttpCall(address=self._api, method="DELETE", path=f"/proxies/{self.target}/toxics/{self._toxic}")]

    def inject(self) -> None:
        proxy = _server(self._api).get_proxy(self.target)
        if proxy is None:
            raise FaultError(f"no proxy {self.target!r} at {self._api}")
        try:
            proxy.add_toxic(
                name=self._toxic, type=self.name, stream=self._stream, toxicity=self._toxicity, attributes=self._given
            )
        except Exception as error:  # toxiproxy-python's exceptions share no base of their own
            raise FaultError(f"the proxy refused {self.name} on {self.target}: {error}") from error
        if proxy.get_toxic(self._toxic) is None:
            raise FaultError(f"{self.name} is not on {self.target} although the proxy took it")

    def evidence(self) -> Evidence:
        response = httpx.get(f"http://{self._api}/proxies/{self.target}/toxics/{self._toxic}/evidence", timeout=5)
        if response.status_code == 404:
            return Evidence(proven=True, observed="a Toxiproxy server that keeps no evidence; the toxic was in place")
        figures = {key: float(value) for key, value in response.json().items() if isinstance(value, int | float)}
        hit = figures.get("links_hit", 0) > 0
        return Evidence(
            proven=hit,
            observed=f"{self.name} touched {figures.get('links_hit', 0):.0f} connections on {self.target}",
            figures=figures,
        )

    def heal(self) -> Evidence:
        for undo in self.undo():
            undo.carry_out()
        left = [toxic for toxic in _server(self._api).get_proxy(self.target).toxics() if toxic == self._toxic]
        return Evidence(proven=not left, observed=f"{self._toxic} is {'still there' if left else 'gone'}")


class Down:
    """A hop refuses connections and drops those that it has, as a dead host with a living network does."""

    def __init__(self, stack: Proxied, hop: str) -> None:
        self.name, self.target = "down", hop
        self.attributes: dict[str, Any] = {}
        self._api = stack.proxy_api()

    def undo(self) -> list[Undo]:
        return [HttpCall(address=self._api, method="POST", path=f"/proxies/{self.target}", body='{"enabled": true}')]

    def inject(self) -> None:
        proxy = _server(self._api).get_proxy(self.target)
        if proxy is None:
            raise FaultError(f"no proxy {self.target!r} at {self._api}")
        proxy.disable()

    def evidence(self) -> Evidence:
        proxy = _server(self._api).get_proxy(self.target)
        return Evidence(
            proven=not proxy.enabled, observed=f"{self.target} {'listens' if proxy.enabled else 'refuses connections'}"
        )

    def heal(self) -> Evidence:
        for undo in self.undo():
            undo.carry_out()
        proxy = _server(self._api).get_proxy(self.target)
        return Evidence(
            proven=bool(proxy.enabled),
            observed=f"{self.target} {'listens' if proxy.enabled else 'still refuses connections'}",
        )


def _server(address: str) -> Toxiproxy:
    host, _, port = address.rpartition(":")
    server = Toxiproxy()
    server.update_api_consumer(host, int(port))
    assert APIConsumer.port == int(port)
    return server


def latency(stack: Proxied, hop: str, *, ms: int, jitter_ms: int = 0) -> Toxic:
    """Every chunk of an answer comes later."""
    return Toxic(stack, hop, "latency", latency=ms, jitter=jitter_ms)


def black_hole(stack: Proxied, hop: str) -> Toxic:
    """Connections open and nothing ever comes back: a dead peer behind a living socket."""
    return Toxic(stack, hop, "timeout", timeout=0)


def connection_reset(stack: Proxied, hop: str, *, after_ms: int = 0) -> Toxic:
    """RST."""
    return Toxic(stack, hop, "reset_peer", timeout=after_ms)


def slow_close(stack: Proxied, hop: str, *, ms: int) -> Toxic:
    """The peer learns of a close only later, as on a long way: what it sends meanwhile meets a closed connection."""
    return Toxic(stack, hop, "slow_close", delay=ms)


def bandwidth(stack: Proxied, hop: str, *, kb_per_s: int) -> Toxic:
    """Answers trickle."""
    return Toxic(stack, hop, "bandwidth", rate=kb_per_s)


def limit_data(stack: Proxied, hop: str, *, bytes_max: int) -> Toxic:
    """Every connection ends after so many bytes of answer."""
    return Toxic(stack, hop, "limit_data", bytes=bytes_max)


def http_status(stack: Proxied, hop: str, *, status: int, retry_after_s: int = 0, fail_times: int = 0) -> Toxic:
    """The hop itself answers users' requests with an error status, health checks pass; ``fail_times`` 0: every time."""
    return Toxic(
        stack,
        hop,
        "http_status",
        stream="upstream",
        status=status,
        retry_after=retry_after_s,
        fail_times=fail_times,
        path="/v1/",
    )
