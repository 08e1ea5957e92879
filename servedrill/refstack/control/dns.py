"""The DNS name in front of the gateways: A records with a short TTL, behind health checks.

The same port number answers HTTP over TCP: ``GET /records`` shows the zone. ``PUT /records`` with a list of addresses
replaces what the name has (a change of DNS by hand); with ``null`` it puts it back.
"""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import uvloop
from aiohttp import web

from servedrill.refstack.config import Gateway, Stack
from servedrill.refstack.listen import listen
from servedrill.refstack.policies import Policies
from servedrill.refstack.process import log_to_stderr, set_name

log = logging.getLogger("refstack")


def address_of(gateway: Gateway) -> str:
    """The address that the name answers for a gateway."""
    return gateway.published_at or gateway.host


class Resolver(asyncio.DatagramProtocol):
    """Answers questions for one name."""

    def __init__(self, stack: Stack, policies: Policies) -> None:
        self.name = stack.name.rstrip(".") + "."
        self.own = [address_of(gateway) for gateway in stack.gateways]
        self.addresses = list(self.own)
        self.health = policies.make("dns_health", stack)
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: the socket is open."""
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """asyncio's: answer one question; what is none is dropped."""
        try:
            query = dns.message.from_wire(data)
            question = query.question[0]
        except Exception:  # anything may arrive on a UDP port; dnspython raises many kinds
            log.info("no DNS question from %s", addr)
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if str(question.name).lower() != self.name.lower():
            response.set_rcode(dns.rcode.NXDOMAIN)
        else:
            response.answer.append(
                dns.rrset.from_text(question.name, self.health.ttl_s, "IN", "A", *self.health.answers(self.addresses))
            )
        self._transport.sendto(response.to_wire(), addr)

    async def get_records(self, http: web.Request) -> web.Response:
        """The zone: addresses, those answered now, TTL in seconds."""
        return web.json_response(
            {"addresses": self.addresses, "answers": self.health.answers(self.addresses), "ttl_s": self.health.ttl_s}
        )

    async def put_records(self, http: web.Request) -> web.Response:
        """Body: a list of addresses, or ``null`` for the stack's own."""
        wanted = await http.json()
        self.addresses = list(self.own) if wanted is None else [str(address) for address in wanted]
        return await self.get_records(http)


async def _check(stack: Stack, resolver: Resolver, session: aiohttp.ClientSession, address: str, path: str) -> None:
    """Probe one gateway for ever."""
    loop = asyncio.get_running_loop()
    port = stack.name_port or stack.gateways[0].port
    while True:
        began = loop.time()
        try:
            async with (
                asyncio.timeout(stack.dns_check_timeout_s),
                session.get(f"http://{address}:{port}{path}") as response,
            ):
                ok = response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            ok = False
        resolver.health.observe(address, ok=ok)
        await asyncio.sleep(max(0.0, began + stack.dns_check_interval_s - loop.time()))


def main(stack: Stack) -> int:
    """The name's server until it is killed."""
    log_to_stderr("dns")
    set_name("dns")
    return uvloop.run(_serve(stack))


async def _serve(stack: Stack) -> int:
    resolver = Resolver(stack, Policies(stack.defects))
    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: resolver, local_addr=("127.0.0.1", stack.dns_port)
    )
    routes = [web.get("/records", resolver.get_records), web.put("/records", resolver.put_records)]
    await listen(routes, port=stack.dns_port)
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
        for address, gateway in zip(resolver.own, stack.gateways, strict=True):
            tasks.create_task(_check(stack, resolver, session, address, gateway.health_path))
    return 0
