"""What the proxies of a stack file have to be, beyond their shape; to add a rule: `servedrill.files.mistakes`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from servedrill.errors import UsageError
from servedrill.files.documents import Document
from servedrill.files.mistakes import Mistakes
from servedrill.host.addresses import split_host_port
from servedrill.stacks.address_rules import HOST_PORT, is_address
from servedrill.stacks.proxies import EMBEDDED, ProxyTable, control_address, program, unknown_hop

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_proxy(mistakes: Mistakes, document: Document, table: ProxyTable, *, on_loopback: bool) -> None:
    """Note what can be seen to be wrong with the server and the addresses before anything starts.

    ``on_loopback``: the stack is reached there alone, so a server on another machine is of no use to it.
    """
    try:
        if table.url:
            host, _ = split_host_port(control_address(table.url))
            if on_loopback and host != "localhost" and not host.startswith("127.") and host != "::1":
                expected = "a server on this machine, for this stack"
                mistakes.wrong(document, ("proxy", "server"), f"is {table.url!r}", expected=expected)
        elif table.server != EMBEDDED:
            program(table.server)
    except UsageError as error:
        mistakes.wrong(document, ("proxy", "server"), error.what, expected=error.expected)
    for number, hop in enumerate(table.hop):
        if not _NAME.fullmatch(hop.name):
            what, expected = f"{hop.name!r} is no name", "letters, digits, `.`, `_` and `-`"
            mistakes.wrong(document, ("proxy", "hop", number, "name"), what, expected=expected)
        for field, address in (("listen", hop.listen), ("upstream", hop.upstream)):
            if not is_address(address):
                at = ("proxy", "hop", number, field)
                mistakes.wrong(document, at, f"is {address!r}", expected=HOST_PORT)


def check_hops(mistakes: Mistakes, document: Document, table: ProxyTable, groups: Mapping[str, Iterable[str]]) -> None:
    """Note names that are none of ``groups`` (group -> its members), and hops of the file's own with one of these."""
    members = {group: list(names) for group, names in groups.items()}
    taken = {*members, *(name for names in members.values() for name in names)}
    for number, name in enumerate(table.hops):
        if name not in taken:
            what, expected, hint = unknown_hop(name, members)
            mistakes.wrong(document, ("proxy", "hops", number), what, expected=expected, hint=hint)
    for number, hop in enumerate(table.hop):
        if hop.name in taken:
            what, expected = f"{hop.name!r} twice", f"none of {', '.join(sorted(taken))}"
            mistakes.wrong(document, ("proxy", "hop", number, "name"), what, expected=expected)
        taken.add(hop.name)
