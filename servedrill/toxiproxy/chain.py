"""The toxics of one proxy in their order, and how each of them comes to and leaves the live links.

A drawing of that is in docs/design/toxic-chain.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from servedrill.toxiproxy.connection import Connection
from servedrill.toxiproxy.decode import ToxicInput, record
from servedrill.toxiproxy.entry import Entry
from servedrill.toxiproxy.errors import ApiError
from servedrill.toxiproxy.evidence import Archive, evidence_body
from servedrill.toxiproxy.link import Link
from servedrill.toxiproxy.toxic import REGISTRY, Checked, Toxic

DIRECTIONS = ("upstream", "downstream")


class Chain:
    """All toxics of one proxy."""

    def __init__(self, proxy: str, seed: int, archive: Archive, connections: Iterable[Connection]) -> None:
        self._proxy = proxy
        self._seed = seed
        self._archive = archive
        self._connections = connections
        self._entries: dict[str, list[Entry]] = {direction: [] for direction in DIRECTIONS}

    def __iter__(self) -> Iterator[Entry]:
        return (entry for direction in DIRECTIONS for entry in self._entries[direction])

    def bodies(self) -> list[dict[str, Any]]:
        """All toxics as the API answers them."""
        return [entry.body() for entry in self]

    def find(self, name: str) -> Entry:
        """The toxic of this name; raises `ApiError`."""
        for entry in self:
            if entry.name == name:
                return entry
        raise ApiError.toxic_not_found()

    def evidence(self, name: str) -> dict[str, object]:
        """What a toxic did, as the API answers it; of a removed one too. Raises `ApiError`."""
        try:
            entry = self.find(name)
        except ApiError:
            kept = self._archive.find(self._proxy, name)
            if kept is None:
                raise
            return kept
        return evidence_body(entry.evidence, name=entry.name, type_name=entry.type, active=True, removed_by=None)

    def check(self, given: Iterable[ToxicInput]) -> list[Entry]:
        """Validate toxics that are to be the only ones; nothing changes. Raises `ApiError` or `BadBody`."""
        entries: list[Entry] = []
        for item in given:
            entries.append(self._validated(item, taken={entry.name for entry in entries}))
        return entries

    def add(self, given: ToxicInput) -> Entry:
        """Validate a toxic and install it; raises `ApiError` or `BadBody`."""
        entry = self._validated(given, taken={entry.name for entry in self})
        self.install(entry)
        return entry

    def _validated(self, given: ToxicInput, *, taken: set[str]) -> Entry:
        if given.stream.lower() not in DIRECTIONS:
            raise ApiError.invalid_stream()
        cls = REGISTRY.get(given.type)
        if cls is None:
            raise ApiError.invalid_toxic_type()
        if (given.name or f"{given.type}_{given.stream}") in taken:
            raise ApiError.toxic_exists()
        return Entry(given, _checked(record(cls, given.attributes)), seed=self._seed, proxy=self._proxy)

    def install(self, entry: Entry) -> None:
        """Put a validated toxic at the end of its chain and on the live links that draw it."""
        self._entries[entry.direction].append(entry)
        self._start_ttl(entry)
        if entry.knows_http:
            for connection in self._connections:
                connection.read_along()
        for link in self._links(entry):
            if entry.draws(link.connection.number):
                link.join(entry, len(link.stubs), live_before=True)

    def update(self, entry: Entry, given: ToxicInput) -> None:
        """Change attributes, toxicity and time to live, as far as they are given; raises `ApiError` or `BadBody`."""
        toxic = _checked(record(type(entry.toxic), given.attributes, before=entry.toxic))
        entry.toxic = toxic
        if given.toxicity is not None:
            entry.toxicity = given.toxicity
        if given.ttl_s is not None:
            entry.ttl_s = given.ttl_s or None
            self._start_ttl(entry)
        for link in self._links(entry):
            stub = link.stub_of(entry)
            if not entry.draws(link.connection.number):
                if stub is not None:
                    link.retire(stub)
            elif stub is not None:
                stub.update(toxic)
            else:
                link.join(entry, self._place(entry, link), live_before=True)

    def remove(self, entry: Entry, *, by: str) -> None:
        """Take a toxic off all links; what it held goes on. Never waits for anything."""
        entries = self._entries[entry.direction]
        if entry not in entries:
            return
        entries.remove(entry)
        if entry.expiry is not None:
            entry.expiry.cancel()
        for link in self._links(entry):
            stub = link.stub_of(entry)
            if stub is not None:
                link.retire(stub)
        body = evidence_body(entry.evidence, name=entry.name, type_name=entry.type, active=False, removed_by=by)
        self._archive.keep(self._proxy, entry.name, body)

    def clear(self, *, by: str) -> None:
        """Remove all toxics."""
        for entry in list(self):
            self.remove(entry, by=by)

    def equip(self, connection: Connection) -> None:
        """Give a new connection the toxics that it draws."""
        for direction, entries in self._entries.items():
            link = connection.link(direction)
            for entry in entries:
                if entry.draws(connection.number):
                    link.join(entry, len(link.stubs), live_before=False)

    @property
    def knows_http(self) -> bool:
        """Whether any toxic needs a tap."""
        return any(entry.knows_http for entry in self)

    def _links(self, entry: Entry) -> list[Link]:
        live = [connection for connection in self._connections if connection.ready and not connection.closing]
        return [connection.link(entry.direction) for connection in live]

    def _place(self, entry: Entry, link: Link) -> int:
        """Behind the last stub of the link whose toxic stands before this one in the chain."""
        order = self._entries[entry.direction]
        before = set(map(id, order[: order.index(entry)]))
        return max((at + 1 for at, stub in enumerate(link.stubs) if id(stub.entry) in before), default=0)

    def _start_ttl(self, entry: Entry) -> None:
        if entry.expiry is not None:
            entry.expiry.cancel()
        entry.expiry = call_after(entry.ttl_s, lambda: self.remove(entry, by="ttl"))


def call_after(delay_s: float | None, then: Callable[[], object]) -> asyncio.TimerHandle | None:
    """A timer on the running loop, or none; three years stand for any longer time."""
    return None if delay_s is None else asyncio.get_running_loop().call_later(min(delay_s, 10.0**8), then)


def _checked(toxic: Toxic) -> Toxic:
    problem = toxic.problem() if isinstance(toxic, Checked) else None
    if problem:
        raise ApiError.bad_body(problem)
    return toxic
