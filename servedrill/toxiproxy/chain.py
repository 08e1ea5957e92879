"""The toxics of one proxy in their order, and the rolling of each of them over the live links.

A toxic is drawn once per connection: the draw is a fixed number for that connection and that toxic, so a higher
toxicity only adds links to those that were hit before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from random import Random
from typing import Any

from servedrill.toxiproxy import chance
from servedrill.toxiproxy.connection import Connection
from servedrill.toxiproxy.decode import ToxicInput, record
from servedrill.toxiproxy.errors import ApiError
from servedrill.toxiproxy.evidence import Archive, Evidence, evidence_body
from servedrill.toxiproxy.link import Link
from servedrill.toxiproxy.toxic import REGISTRY, Checked, Directed, HttpAware, Toxic

DIRECTIONS = ("upstream", "downstream")


class Entry:
    """One toxic of a proxy, as the API shows it."""

    __slots__ = (
        "_attributes",
        "_proxy",
        "_seed",
        "direction",
        "evidence",
        "expiry",
        "knows_http",
        "name",
        "stream",
        "toxic",
        "toxicity",
        "ttl_s",
        "type",
    )

    def __init__(self, given: ToxicInput, toxic: Toxic, *, seed: int, proxy: str) -> None:
        self.name = given.name or f"{given.type}_{given.stream}"
        self.type = given.type
        self.stream = given.stream
        self.direction = toxic.direction if isinstance(toxic, Directed) else given.stream.lower()
        self.knows_http = isinstance(toxic, HttpAware)
        self.toxicity = 1.0 if given.toxicity is None else given.toxicity
        self.toxic = toxic
        self.ttl_s = given.ttl_s or None
        self.expiry: asyncio.TimerHandle | None = None
        self.evidence = Evidence()
        self._attributes = [field.name for field in fields(toxic)]  # type: ignore[arg-type]
        self._seed = seed
        self._proxy = proxy

    def draws(self, connection: Connection) -> bool:
        """Whether this toxic falls on that connection."""
        if self.toxicity >= 1.0:
            return True
        return chance.draw(self._seed, self._proxy, self.name, connection.number) < self.toxicity

    def random_for(self, connection_number: int) -> Random:
        return chance.stream(self._seed, self._proxy, self.name, connection_number)

    def body(self) -> dict[str, Any]:
        toxicity = int(self.toxicity) if self.toxicity.is_integer() else self.toxicity
        attributes = {name: getattr(self.toxic, name) for name in self._attributes}
        body = {
            "attributes": attributes,
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": toxicity,
        }
        return body if self.ttl_s is None else {**body, "ttl": self.ttl_s}


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
        return [entry.body() for entry in self]

    def find(self, name: str) -> Entry:
        for entry in self:
            if entry.name == name:
                return entry
        raise ApiError.toxic_not_found()

    def evidence(self, name: str) -> dict[str, object]:
        try:
            entry = self.find(name)
        except ApiError:
            kept = self._archive.find(self._proxy, name)
            if kept is None:
                raise
            return kept
        return evidence_body(entry.evidence, name=entry.name, type_name=entry.type, active=True, removed_by=None)

    def check(self, given: Iterable[ToxicInput]) -> list[Entry]:
        """Validate toxics that are to be the only ones; nothing changes."""
        entries: list[Entry] = []
        for item in given:
            entries.append(self._validated(item, taken={entry.name for entry in entries}))
        return entries

    def add(self, given: ToxicInput) -> Entry:
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
            if entry.draws(link.connection):
                link.join(entry, len(link.stubs), live_before=True)

    def update(self, entry: Entry, given: ToxicInput) -> None:
        toxic = _checked(record(type(entry.toxic), given.attributes, before=entry.toxic))
        entry.toxic = toxic
        if given.toxicity is not None:
            entry.toxicity = given.toxicity
        if given.ttl_s is not None:
            entry.ttl_s = given.ttl_s or None
            self._start_ttl(entry)
        for link in self._links(entry):
            stub = link.stub_of(entry)
            if not entry.draws(link.connection):
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
        for entry in list(self):
            self.remove(entry, by=by)

    def equip(self, connection: Connection) -> None:
        """Give a new connection the toxics that it draws."""
        for link in (connection.up, connection.down):
            for entry in self._entries[link.direction]:
                if entry.draws(connection):
                    link.join(entry, len(link.stubs), live_before=False)

    @property
    def knows_http(self) -> bool:
        return any(entry.knows_http for entry in self)

    def _links(self, entry: Entry) -> list[Link]:
        live = [connection for connection in self._connections if connection.ready and not connection.closing]
        return [connection.up if entry.direction == "upstream" else connection.down for connection in live]

    def _place(self, entry: Entry, link: Link) -> int:
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
