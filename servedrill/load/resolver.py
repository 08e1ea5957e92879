"""The stack's name, asked for again and again as a well-behaved client does: never longer than its TTL says.

The wire format is dnspython's; the socket is a datagram endpoint of the running loop, as dnspython's own would
bring an HTTP client along.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from servedrill.host.addresses import join_host_port, split_host_port
from servedrill.host.clock import NS, now_ns

_ANSWER_WITHIN_S = 1.0
_ASK_AGAIN_S = 0.4
"""A datagram may be lost: the question is sent again after this long, still within the second."""
_RETRY_AFTER_S = 1.0
"""How long the last answer is used without asking again when the resolver did not answer."""


@dataclass(frozen=True, slots=True)
class _Answer:
    addresses: tuple[str, ...]
    until_ns: int


class DnsName:
    """The A records of a name from one DNS server, one picked at random for each connection.

    Without a usable answer the last one stays in use, and ``failures`` counts how often that was so.
    """

    def __init__(self, name: str, *, server: str, rng: random.Random) -> None:
        self.failures = 0
        self.queries = 0
        self._name, self._server, self._rng = name, split_host_port(server), rng
        self._known = _Answer((), 0)
        self._asking: asyncio.Task[None] | None = None

    async def pick(self) -> str:
        """One address at random, asked for again once the TTL is over; raises `OSError` when there never was one."""
        if now_ns() >= self._known.until_ns:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.get_running_loop().create_task(self._ask())
            await asyncio.shield(self._asking)  # a caller that gives up must not take the question from the others
        if not self._known.addresses:
            raise OSError(f"no address for {self._name} from {join_host_port(*self._server)}")
        return self._rng.choice(self._known.addresses)

    async def _ask(self) -> None:
        asked_ns = now_ns()
        self.queries += 1
        try:
            answer = await _query(self._name, self._server)
        except (OSError, dns.exception.DNSException):
            answer = None
        if answer is None or not answer[0]:
            self.failures += 1
            self._known = _Answer(self._known.addresses, now_ns() + int(_RETRY_AFTER_S * NS))
        else:
            # The TTL starts when the question was sent: counting from the answer would use it too long.
            self._known = _Answer(answer[0], asked_ns + answer[1] * NS)


async def _query(name: str, server: tuple[str, int]) -> tuple[tuple[str, ...], int] | None:
    """Addresses and TTL in seconds; None when the server says that there are none. Raises `OSError` on silence."""
    query = dns.message.make_query(name, dns.rdatatype.A)
    loop = asyncio.get_running_loop()
    transport, mailbox = await loop.create_datagram_endpoint(lambda: _Mailbox(query), remote_addr=server)
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            while True:
                transport.sendto(query.to_wire())
                done, _ = await asyncio.wait([mailbox.response], timeout=_ASK_AGAIN_S)
                if done:
                    break
    finally:
        transport.close()
    response = mailbox.response.result()
    if response.rcode() != dns.rcode.NOERROR:
        return None
    # A chain of CNAMEs lives as long as its shortest link.
    found = [rrset for rrset in response.answer if rrset.rdtype == dns.rdatatype.A]
    # In order, as servers rotate their answers: the seed picks, not the rotation.
    addresses = sorted({item.address for rrset in found for item in rrset})
    return tuple(addresses), min((rrset.ttl for rrset in response.answer), default=0)


class _Mailbox(asyncio.DatagramProtocol):
    """Waits for the answer to one question."""

    def __init__(self, query: dns.message.Message) -> None:
        self.response: asyncio.Future[dns.message.Message] = asyncio.get_running_loop().create_future()
        self._query = query

    def datagram_received(self, data: bytes, addr: object) -> None:
        try:
            response = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return
        if not self.response.done() and self._query.is_response(response):
            self.response.set_result(response)

    def error_received(self, exc: Exception) -> None:
        if not self.response.done():  # ICMP: nobody listens there
            self.response.set_exception(exc)
