"""Bugs that users meet at every deploy: of gateways that are told to end, and of whoever tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from servedrill.refstack.control.restart import RestartWhenGone
from servedrill.refstack.gateway.drain import Drain


class CutsOnTerm(Drain):
    """SIGTERM ends the gateway at once, with every stream in it (langwatch#6941, agentgateway#3334)."""

    caught_by = "rolling_deploy"

    async def wait(self, open_requests: Callable[[], int]) -> None:
        return


class CutsAfterLameDuck(Drain):
    """Streams have the time that resolvers need and no more, however long they are (PostHog#73863)."""

    caught_by = "rolling_deploy"

    async def wait(self, open_requests: Callable[[], int]) -> None:
        await super().wait(lambda: 0)


class EndsBeforeWithdrawn(Drain):
    """It ends with what was open when it was told, though its name leads to it for longer (data-fair#473)."""

    caught_by = "rolling_deploy"

    async def wait(self, open_requests: Callable[[], int]) -> None:
        await asyncio.sleep(0.8)


class DropsListenQueue(Drain):
    """It stops listening at once: who was about to be accepted, or is still sent there, is turned away (aisix#995)."""

    caught_by = "rolling_deploy"

    def keeps_listening(self) -> bool:
        return False


class DrainsInSecret(Drain):
    """/health says 200 to the end, so that its name leads to it until nobody is there (R3: production-stack#601)."""

    caught_by = "rolling_deploy"

    def says_ready(self) -> bool:
        return True


class KeepsConnections(Drain):
    """Clients go on asking on connections that they have, and it waits for them in vain (actix-web#929)."""

    caught_by = "rolling_deploy"

    def keeps_connections(self) -> bool:
        return True


class DrainsForEver(Drain):
    """One answer that does not end keeps it from ending (linkerd2-proxy#1815)."""

    caught_by = "rolling_deploy"

    async def wait(self, open_requests: Callable[[], int]) -> None:
        while True:
            await super().wait(open_requests)
            if not open_requests():
                return
            await asyncio.sleep(0.02)


class KilledWhileDraining(RestartWhenGone):
    """Whoever tells a replica to end kills it long before what it has begun is finished (dario#1370)."""

    caught_by = "rolling_deploy"

    def grace_s(self, *, name: str) -> float:
        return 0.4
