"""The alert endpoint: evaluates rules over what it probes, and answers Alertmanager's v2 API."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp
import uvloop
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from servedrill.refstack.config import Stack
from servedrill.refstack.control.alert_rules import Fact
from servedrill.refstack.listen import listen
from servedrill.refstack.policies import Policies
from servedrill.refstack.process import log_to_stderr, set_name

EVERY_S = 0.25
_READ = (
    "vllm:kv_cache_usage_perc",
    "vllm:num_requests_running",
    "vllm:generation_tokens",
    "gateway_in_flight_requests",
)


class Alerts:
    """GET and POST /api/v2/alerts; active ones only, as Alertmanager lists them by default."""

    def __init__(self, stack: Stack, policies: Policies, session: aiohttp.ClientSession) -> None:
        self.stack, self.session = stack, session
        self.rules = policies.make("alert_rules")
        self.active: dict[tuple[str, str], dict[str, Any]] = {}
        self.posted: list[dict[str, Any]] = []
        self.up_at: dict[str, float] = {}
        self.tokens: dict[str, float] = {}
        self.moved: dict[str, tuple[float, float]] = {}
        self.began = time.monotonic()

    async def evaluate(self) -> None:
        """One round: probe, judge, fire and resolve."""
        exits = await self._exits()
        replicas = [(e.name, "engine", e.control_url) for e in self.stack.engines]
        replicas += [(g.name, "gateway", g.control_url) for g in self.stack.gateways]
        facts = await asyncio.gather(
            *(self._fact(name, role, url, exits.get(name, "")) for name, role, url in replicas)
        )
        known = [fact for fact in facts if fact is not None]
        firing = set(self.rules.firing([*known, self._whole(known)]))
        for key in firing - set(self.active):
            self.active[key] = {
                "labels": {"alertname": key[0], "replica": key[1]},
                "annotations": {},
                "startsAt": datetime.now(UTC).isoformat(),
                "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
                "fingerprint": f"{hash(key) & 0xFFFFFFFFFFFFFFFF:016x}",
            }
        for key in set(self.active) - firing:
            del self.active[key]

    async def _fact(self, name: str, role: str, url: str, last_exit: str) -> Fact | None:
        values: dict[str, float] = {}
        now = time.monotonic()
        try:
            async with asyncio.timeout(0.4):
                async with self.session.get(f"{url}/health") as response:
                    ok = response.status == 200
                if ok or role == "engine":  # one that is not well may tell all the same what it does
                    async with self.session.get(f"{url}/metrics") as response:
                        text = await response.text()
                    lines = "\n".join(line for line in text.splitlines() if line.startswith(_READ))
                    values = {
                        s.name: s.value
                        for family in text_string_to_metric_families(lines + "\n")
                        for s in family.samples
                    }
        except (aiohttp.ClientError, OSError, TimeoutError):
            ok = False
        if ok:
            self.up_at[name] = now
        elif name not in self.up_at and now - self.began < 10:
            return None  # still coming up for the first time
        if role == "engine":
            self.tokens[name] = values.get("vllm:generation_tokens_total", self.tokens.get(name, 0.0))
        running = values.get("gateway_in_flight_requests" if role == "gateway" else "vllm:num_requests_running", 0.0)
        return Fact(
            name=name,
            role=role,
            down_s=now - self.up_at.get(name, self.began),
            last_exit=last_exit,
            kv_usage=values.get("vllm:kv_cache_usage_perc", 0.0),
            running=running,
            tokens_flat_s=self._flat_s(name, self.tokens[name], busy=running > 0) if role == "engine" else 0.0,
        )

    def _whole(self, facts: list[Fact]) -> Fact:
        """All of them together: what users have open is at the gateways, what comes for it from the engines."""
        in_flight = sum(fact.running for fact in facts if fact.role == "gateway")
        flat_s = self._flat_s("stack", sum(self.tokens.values()), busy=in_flight > 0)
        return Fact(
            name="stack", role="stack", down_s=0, last_exit="", kv_usage=0, running=in_flight, tokens_flat_s=flat_s
        )

    def _flat_s(self, name: str, tokens: float, *, busy: bool) -> float:
        now = time.monotonic()
        if not busy or self.moved.get(name, (-1.0, 0.0))[0] != tokens:
            self.moved[name] = (tokens, now)
        return now - self.moved[name][1]

    async def _exits(self) -> dict[str, str]:
        try:
            async with (
                asyncio.timeout(0.4),
                self.session.get(f"{self.stack.control_url}/processes") as response,
            ):
                return {process["name"]: process["last_exit"] for process in await response.json()}
        except (aiohttp.ClientError, OSError, TimeoutError):
            return {}

    async def get(self, http: web.Request) -> web.Response:
        """Alerts of the rules, and posted ones that have not ended."""
        now = datetime.now(UTC)
        posted = [
            alert for alert in self.posted if "endsAt" not in alert or datetime.fromisoformat(alert["endsAt"]) > now
        ]
        return web.json_response([*self.active.values(), *posted])

    async def post(self, http: web.Request) -> web.Response:
        """Alerts of others; one with the same labels replaces the earlier."""
        new = await http.json()
        labels = [alert.get("labels") for alert in new]
        self.posted = [alert for alert in self.posted if alert.get("labels") not in labels] + new
        return web.Response(status=200)

    async def status(self, http: web.Request) -> web.Response:
        """What clients ask before they trust an Alertmanager."""
        return web.json_response(
            {"cluster": {"status": "disabled", "peers": []}, "versionInfo": {"version": "refstack"}}
        )

    async def run(self) -> None:
        """Evaluate for ever, each `EVERY_S`."""
        while True:
            began = time.monotonic()
            await self.evaluate()
            await asyncio.sleep(max(0.0, began + EVERY_S - time.monotonic()))


def main(stack: Stack) -> int:
    """The alert endpoint until it is killed."""
    log_to_stderr("alerts")
    set_name("alerts")
    return uvloop.run(_serve(stack))


async def _serve(stack: Stack) -> int:
    async with aiohttp.ClientSession() as session:
        alerts = Alerts(stack, Policies(stack.defects), session)
        routes = [
            web.get("/api/v2/alerts", alerts.get),
            web.post("/api/v2/alerts", alerts.post),
            web.get("/api/v2/status", alerts.status),
            web.get("/-/ready", alerts.status),
        ]
        await listen(routes, port=stack.alerts_port)
        await alerts.run()
    return 0
