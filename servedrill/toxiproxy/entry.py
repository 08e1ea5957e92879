"""One toxic of a proxy: its record, its name and direction, and on which connections it falls.

A toxic is drawn once per connection. The draw is a fixed number for that connection and that toxic, so a higher
toxicity only adds connections to those that were hit before.
"""

from __future__ import annotations

import asyncio
from dataclasses import fields
from random import Random
from typing import Any

from servedrill.toxiproxy import chance
from servedrill.toxiproxy.decode import ToxicInput
from servedrill.toxiproxy.evidence import Evidence
from servedrill.toxiproxy.toxic import Directed, HttpAware, Toxic


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

    def draws(self, connection_number: int) -> bool:
        """Whether this toxic falls on that connection."""
        if self.toxicity >= 1.0:
            return True
        return chance.draw(self._seed, self._proxy, self.name, connection_number) < self.toxicity

    def random_for(self, connection_number: int) -> Random:
        """Chance for this toxic on that connection, the same in every run with one seed."""
        return chance.stream(self._seed, self._proxy, self.name, connection_number)

    def body(self) -> dict[str, Any]:
        """The toxic as the API answers it: the fields of a request, `ttl` (seconds) only where there is one."""
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
