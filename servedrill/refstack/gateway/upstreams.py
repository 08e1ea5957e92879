"""The engines behind a gateway: probing them all the time, and choosing one for a try."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import aiohttp

from servedrill.refstack import wire
from servedrill.refstack.config import Stack
from servedrill.refstack.gateway.loop_watch import LoopWatch
from servedrill.refstack.gateway.metrics import GatewayMetrics
from servedrill.refstack.gateway.outcome import Outcome
from servedrill.refstack.policies import Policies

_MOVES_S = 0.5


class Upstreams:
    """Health, breaker, balance and cordons over all engines of the stack."""

    def __init__(self, stack: Stack, policies: Policies, metrics: GatewayMetrics, chance: random.Random) -> None:
        self.limits = stack.gateway_limits
        self.urls = {engine.name: stack.engine_url(engine.name) for engine in stack.engines}
        self.health = policies.make("health", stack.gateway_limits)
        self.breaker = policies.make("breaker", stack.gateway_limits)
        self.outlier = policies.make("outlier", stack.gateway_limits)
        self.balancer = policies.make("balancer", chance)
        self.in_flight = policies.make("in_flight")
        self.cordoned: set[str] = set()
        self.moved: dict[str, float] = {}
        """Loop time, seconds, at which content last came from an upstream, for anybody."""
        self.metrics = metrics

    def choose(
        self, names: Sequence[str], *, tried: Sequence[Outcome], not_before: dict[str, float], now: float
    ) -> tuple[str, str] | None:
        """``(upstream, name)`` for the first of the model ``names`` that some engine can answer now."""
        for name in names:
            candidates = [
                upstream
                for upstream in self.urls
                if upstream not in self.cordoned
                and self.health.serves(upstream, name)
                and self.health.healthy(upstream)
                and now >= not_before.get(upstream, 0.0)
                and self.breaker.allows(upstream, now)
            ]
            if candidates:
                candidates = self.outlier.fewer(candidates, self.in_flight.at, now)
                return self.balancer.choose(candidates, self.in_flight.at, [t.upstream for t in tried]), name
        return None

    def known(self, names: Sequence[str]) -> bool:
        """Whether any engine has ever said that it serves one of the names."""
        return any(self.health.serves(upstream, name) for upstream in self.urls for name in names)

    def moves(self, upstream: str, now: float) -> bool:
        """Whether tokens come from there now.

        A request that waits in vain there is in its queue: ejecting it would only send the load to the next one.
        """
        return now - self.moved.get(upstream, -_MOVES_S) < _MOVES_S

    def record(self, outcome: Outcome, now: float) -> None:
        """A try has ended."""
        self.breaker.record(outcome, now)
        self.metrics.tries.labels(
            outcome.upstream, f"{outcome.kind}_{outcome.status}" if outcome.kind == "status" else outcome.kind
        ).inc()

    async def watch(self, own: LoopWatch) -> None:
        """Probe every engine for ever, each in a task of its own: a frozen one delays no other's checks.

        Each probe on a connection of its own: one from the pool would keep alive what users' requests left idle.
        """
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
            for upstream in self.urls:
                tasks.create_task(self._watch_one(session, upstream, own))

    async def _watch_one(self, session: aiohttp.ClientSession, upstream: str, own: LoopWatch) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            status, models = await self._probe(session, upstream)
            if status is not None or not own.stood_still_since(began):
                self.health.observe(upstream, status=status, models=models)
            self.metrics.healthy.labels(upstream).set(1 if self.health.healthy(upstream) else 0)
            await asyncio.sleep(max(0.0, began + self.limits.health_interval_s - loop.time()))

    async def _probe(self, session: aiohttp.ClientSession, upstream: str) -> tuple[int | None, frozenset[str]]:
        try:
            async with asyncio.timeout(self.limits.health_timeout_s):
                async with session.get(f"{self.urls[upstream]}/health") as response:
                    return response.status, frozenset(filter(None, response.headers.get(wire.MODELS, "").split(",")))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None, frozenset()
