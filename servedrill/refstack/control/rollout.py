"""The rollout of a model version: a canary first, then one engine after another; rolled back when a check says no.

cordon one engine -> load the candidate -> parameters, golden questions -> a share of the traffic -> judge
    no:  alias back to the old version -> cordon -> load the old version -> done (rolled_back)
    yes: the other engines in turn, the alias's weights following capacity -> done (promoted)
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from servedrill.refstack.config import Stack
from servedrill.refstack.engine.tokens import golden_answer
from servedrill.refstack.gateway.versions import VersionStats
from servedrill.refstack.listen import listen
from servedrill.refstack.policies import Policies
from servedrill.refstack.process import log_to_stderr, set_name
from servedrill.refstack.secret import proof

log = logging.getLogger("refstack")


class RolledBack(Exception):
    """The candidate was refused; the message says why."""


class Rollout(msgspec.Struct, kw_only=True):
    """One rollout, as GET /rollouts shows it; ``state`` is running, promoted, rolled_back or broken."""

    id: int
    candidate: str
    previous: str
    state: str = "running"
    reason: str = ""
    steps: list[str] = []


def own_connections() -> aiohttp.ClientSession:
    """A session in which each request has a connection of its own.

    An idle one may be closed by its peer just when it is used again (G5).
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True), timeout=aiohttp.ClientTimeout(total=30)
    )


class Rollouts:
    """At most one at a time."""

    def __init__(self, stack: Stack, canary: Any, session: aiohttp.ClientSession) -> None:
        self.stack, self.canary, self.session = stack, canary, session
        self.serving = stack.serves
        self.aliases = {stack.alias: {stack.serves: 1.0}}
        self.history: list[Rollout] = []
        self._task: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        """POST and GET /rollouts, GET /aliases."""
        return [
            web.post("/rollouts", self.start),
            web.get("/rollouts", self.show),
            web.get("/aliases", self.get_aliases),
        ]

    async def start(self, http: web.Request) -> web.Response:
        """Body: ``{"candidate": version}``; 202, or 409 while one is under way, 404 for an unknown version."""
        candidate = str((await http.json()).get("candidate"))
        if self._task is not None and not self._task.done():
            return web.json_response({"error": "a rollout is under way"}, status=409)
        if self.stack.model(candidate) is None:
            return web.json_response({"error": f"no version {candidate!r}"}, status=404)
        rollout = Rollout(id=len(self.history), candidate=candidate, previous=self.serving, steps=[])
        self.history.append(rollout)
        self._task = asyncio.create_task(self._run(rollout))
        return web.json_response(msgspec.to_builtins(rollout), status=202)

    async def show(self, http: web.Request) -> web.Response:
        """Every `Rollout` so far, oldest first."""
        return web.json_response(msgspec.to_builtins(self.history))

    async def get_aliases(self, http: web.Request) -> web.Response:
        """Alias -> version -> weight, as gateways are told."""
        return web.json_response(self.aliases)

    # ---- the procedure

    async def _run(self, rollout: Rollout) -> None:
        engines = [engine.name for engine in self.stack.engines]
        canary = engines[-1]
        try:
            try:
                await self.put_on(canary, rollout.candidate, rollout)
                await self.check_before_traffic(rollout, canary, engines[0])
                await self.check_with_traffic(rollout)
            except RolledBack as refused:
                rollout.reason = str(refused)
                await self.weigh({rollout.previous: 1.0}, rollout)
                await self.put_on(canary, rollout.previous, rollout)
                rollout.state = "rolled_back"
                return
            done = 1
            for name in engines[:-1]:
                left = len(engines) - done - 1
                await self.weigh({rollout.previous: left, rollout.candidate: done}, rollout)
                await self.put_on(name, rollout.candidate, rollout)
                done += 1
            await self.weigh({rollout.candidate: 1.0}, rollout)
            self.serving, rollout.state = rollout.candidate, "promoted"
        except Exception as error:
            log.exception("rollout %d", rollout.id)
            rollout.state, rollout.reason = "broken", f"{type(error).__name__}: {error}"

    async def put_on(self, engine: str, version: str, rollout: Rollout) -> None:
        """Have one engine serve ``version``, with no traffic while it changes.

        Raises `RolledBack` when it does not load, `TimeoutError` when a gateway does not see it there.
        """
        rollout.steps.append(f"load {version} on {engine}")
        await self.cordon([engine])
        try:
            url = f"{self.stack.engine(engine).control_url}/update_weights"
            async with self.session.post(url, json={"version": version}) as response:
                answer = await response.json()
            if response.status != 200:
                raise RolledBack(f"{version} did not load on {engine}: {answer.get('detail') or answer.get('error')}")
            await self.until(lambda: self._gateways_see(engine, version), f"gateways see {version} on {engine}")
        except RolledBack:
            raise
        finally:
            await self.cordon([])

    async def check_before_traffic(self, rollout: Rollout, canary: str, serving: str) -> None:
        """Parameters and golden questions, with no user on the candidate. Raises `RolledBack`."""
        rollout.steps.append("parameters")
        self._refuse(self.canary.check_parameters(await self._info(serving), await self._info(canary)))
        rollout.steps.append("golden questions")
        asked = self.canary.questions
        right, serving_right = (
            await self._golden(canary, rollout.candidate, asked),
            await self._golden(serving, rollout.previous, asked),
        )
        self._refuse(self.canary.check_quality(right=right, asked=asked, serving_right=serving_right))

    async def check_with_traffic(self, rollout: Rollout) -> None:
        """A share of the users, until enough is known or ``canary_observe_s`` is over. Raises `RolledBack`."""
        weight = self.canary.weight
        await self.weigh({rollout.previous: 1 - weight, rollout.candidate: weight}, rollout)
        loop = asyncio.get_running_loop()
        until = loop.time() + self.canary.observe_s
        old, new = VersionStats(), VersionStats()
        while loop.time() < until:
            await asyncio.sleep(0.1)
            old, new = await self._stats(rollout.previous), await self._stats(rollout.candidate)
            if self.canary.enough(new):
                break
        self._refuse(self.canary.check_traffic(old, new))

    def _refuse(self, reason: str | None) -> None:
        if reason is not None:
            raise RolledBack(reason)

    async def weigh(self, weights: dict[str, float], rollout: Rollout) -> None:
        """Tell every gateway that is up the weights of the versions."""
        rollout.steps.append("weights " + ", ".join(f"{version} {weight:g}" for version, weight in weights.items()))
        self.aliases = {self.stack.alias: weights}
        await self._each_gateway(lambda url: self._put(f"{url}/admin/aliases", self.aliases))

    async def cordon(self, engines: list[str]) -> None:
        """Tell every gateway that is up which engines get no new requests."""
        await self._each_gateway(lambda url: self._put(f"{url}/admin/cordons", engines))

    # ---- HTTP

    async def _each_gateway(self, call: Callable[[str], Awaitable[Any]]) -> list[Any]:
        """The answers of those gateways that are up; one that is down asks for the aliases when it starts."""
        calls = [call(gateway.control_url) for gateway in self.stack.gateways]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(
                answer, aiohttp.ClientError | OSError | TimeoutError
            ):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def _put(self, url: str, body: Any) -> None:
        async with asyncio.timeout(2), self.session.put(url, json=body, headers=proof()) as response:
            response.raise_for_status()

    async def _get(self, url: str) -> Any:
        async with asyncio.timeout(2), self.session.get(url) as response:
            return await response.json()

    async def _info(self, engine: str) -> dict[str, Any]:
        info: dict[str, Any] = await self._get(f"{self.stack.engine(engine).control_url}/server_info")
        return info

    async def _gateways_see(self, engine: str, version: str) -> bool:
        views = await self._each_gateway(lambda url: self._get(f"{url}/admin/upstreams"))
        return all(version in view[engine]["models"] and view[engine]["healthy"] for view in views)

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str, within_s: float = 8.0) -> None:
        """Wait for a condition. Raises `TimeoutError` that says ``what`` did not come."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while not await condition():
            if loop.time() > end:
                raise TimeoutError(f"{what}: not within {within_s} s")
            await asyncio.sleep(0.05)

    async def _golden(self, engine: str, version: str, questions: int) -> int:
        """How many golden questions the engine answers right."""
        url = f"{self.stack.engine(engine).control_url}/v1/chat/completions"

        async def right(question: int) -> bool:
            text = f"golden question {question} :"
            answer = golden_answer(text.split(), version=version, accuracy=1.1)
            body = {"model": version, "messages": [{"role": "user", "content": text}], "max_tokens": 8}
            async with self.session.post(url, json=body) as response:
                got = await response.json()
            return response.status == 200 and got["choices"][0]["message"]["content"].split() == answer

        return sum(await asyncio.gather(*(right(question) for question in range(questions))))

    async def _stats(self, version: str) -> VersionStats:
        """What all gateways together saw of a version."""
        total = VersionStats()
        for view in await self._each_gateway(lambda url: self._get(f"{url}/admin/versions")):
            stats = msgspec.convert(view.get(version, {}), VersionStats)
            total.requests += stats.requests
            total.failures += stats.failures
            total.ttft_s.extend(stats.ttft_s)
            total.tpot_s.extend(stats.tpot_s)
        return total


def main(stack: Stack) -> int:
    """Rollouts alone, for a stack whose processes somebody else keeps: until SIGTERM."""
    log_to_stderr("rollouts")
    set_name("rollouts")
    return uvloop.run(_serve(stack))


async def _serve(stack: Stack) -> int:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with own_connections() as session:
        rollouts = Rollouts(stack, Policies(stack.defects).make("canary", stack), session)
        await listen(rollouts.routes(), host=stack.control_host, port=stack.control_port)
        log.info("listening on %s:%d", stack.control_host, stack.control_port)
        await ended.wait()
    return 0
