"""Tables of the events that a long run has many of; all other kinds are few, and held."""

from __future__ import annotations

from itertools import chain, groupby
from operator import itemgetter

from servedrill.history.events import Event, Exchange, ProcessSeen, Sample
from servedrill.history.names import Names
from servedrill.history.selection import Selection
from servedrill.history.table import Table


class SampleTable(Table):
    """A row for each scrape of a replica."""

    def __init__(self, block_rows: int) -> None:
        super().__init__({"t_ns": "q", "place": "q", "source": "i", "role": "i"}, ranged="t_ns", block_rows=block_rows)
        self.sources, self.roles = Names(), Names()
        self.seen: set[tuple[str, str]] = set()
        """Role and source."""

    def add(self, sample: Sample, place: int) -> None:
        """A row for a scrape; ``place``: where its line begins, in bytes, or its index."""
        self.seen.add((sample.role, sample.source))
        self.append((sample.t_ns, place, self.sources[sample.source], self.roles[sample.role]))


class ExchangeTable(Table):
    """A row for each word on an exchange."""

    def __init__(self, block_rows: int) -> None:
        columns = {"t_ns": "q", "place": "q", "hop": "i", "seq": "q", "t_request_ns": "q", "completion": "b"}
        super().__init__(columns, ranged="t_ns", block_rows=block_rows)
        self.hops = Names()

    def add(self, x: Exchange, place: int) -> None:
        """A row for a word; ``place``: where its line begins, in bytes, or its index."""
        completion = x.method == "POST" and x.path.partition("?")[0].endswith("/completions")
        self.append((x.t_ns, place, self.hops[x.hop], x.seq, x.t_request_ns, completion))


def last_words(words: Selection[Exchange], block_rows: int) -> Selection[Exchange]:
    """The last word on each exchange, in the order of their requests; of one instant, in the order in which they were
    first heard of."""
    columns = {"hop": "i", "seq": "q", "t_ns": "q", "place": "q", "t_request_ns": "q"}
    by_exchange = Table(columns, ranged="t_ns", block_rows=block_rows)
    for row in words.where("completion", test=bool).columns(*columns):
        by_exchange.append(row)
    by_exchange.finish()
    columns = {"t_request_ns": "q", "first_ns": "q", "first_place": "q", "place": "q"}
    found = Table(columns, ranged="t_request_ns", block_rows=block_rows)
    rows = chain.from_iterable(by_exchange.rows(block) for block in by_exchange.blocks)
    for _, same in groupby(rows, key=itemgetter(0, 1)):
        told = list(same)
        first, last = told[0], told[-1]
        found.append((last[4], first[2], first[3], last[3]))
    found.finish()
    return Selection(found, words.source)


class ProcessTable(Table):
    """A row for each look at a process."""

    def __init__(self, block_rows: int) -> None:
        super().__init__({"t_ns": "q", "place": "q", "name": "i"}, ranged="t_ns", block_rows=block_rows)
        self.names = Names()

    def add(self, seen: ProcessSeen, place: int) -> None:
        """A row for a look; ``place``: where its line begins, in bytes, or its index."""
        self.append((seen.t_ns, place, self.names[seen.name]))


class PlainTable(Table):
    """A row for each of a kind of which only all are ever asked for: reports of load workers, waits for a core."""

    def __init__(self, block_rows: int) -> None:
        super().__init__({"t_ns": "q", "place": "q"}, ranged="t_ns", block_rows=block_rows)

    def add(self, event: Event, place: int) -> None:
        """A row for any event; ``place``: where its line begins, in bytes, or its index."""
        self.append((event.t_ns, place))
