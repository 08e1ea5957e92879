"""A history as checkers read it: events by kind, by window, by replica. Nothing in it changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from servedrill.history import events as e
from servedrill.history.clocks import Clocks
from servedrill.history.dialect import Spoken, as_told
from servedrill.history.kinds import ExchangeTable, PlainTable, ProcessTable, SampleTable, last_words
from servedrill.history.promises import Promises, as_made, counts_known
from servedrill.history.requests import Requests, RequestTable
from servedrill.history.selection import Selection
from servedrill.history.source import Lines, Listed, OnOneClock, Source, without_collection
from servedrill.history.table import BLOCK_ROWS

E = TypeVar("E", bound=e.Event)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, monotonic nanoseconds."""

    name: str
    start_ns: int
    end_ns: int

    def __contains__(self, t_ns: int) -> bool:
        return self.start_ns <= t_ns <= self.end_ns

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class FaultSpan:
    """One lease from its injection to its healing; ``None`` for what was never written down."""

    injected: e.FaultInjected
    evidence: e.FaultEvidence | None
    healed: e.FaultHealed | None

    @property
    def start_ns(self) -> int:
        """When the injection was written down."""
        return self.injected.t_ns

    @property
    def end_ns(self) -> int | None:
        """When the healing was written down; None where it never was."""
        return self.healed.t_ns if self.healed else None


class History:
    """Events by kind, each in the order of time, all on the clock of the drill's machine. Of any length in the same
    memory.

    Of kinds that there are many of (requests, samples, exchanges, processes, reports of the load) columns of numbers
    are kept, on disk when they are many, and an event is read again when somebody looks at all of it.
    """

    def __init__(
        self,
        events: Sequence[e.AnyEvent] | Source,
        *,
        moved: Mapping[str, int] | None = None,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        """``events`` in any order, the earlier one first of those of one instant.

        ``moved``: machine -> nanoseconds by which its events are put later than its clock says.
        """
        self._written: Source = Listed(events) if isinstance(events, Sequence) else events
        self._source, self._block_rows = self._written, block_rows
        self.kept: dict[tuple[Any, ...], Any] = {}
        """What was found out about it and is asked for again, by who found it and how."""
        self.clocks = Clocks()
        if not self._filled(stop_at_hosts=True):
            told = (event for _, event in self._written.placed() if isinstance(event, e.ClockOffset))
            self.clocks = Clocks(told, moved=moved)
            self._source = OnOneClock(self._written, self.clocks)
            self._filled()

    @classmethod
    def read(cls, path: Path, *objectives: e.ObjectivesGiven) -> History:
        """The history in a file, held to other objectives than it was given if there are any.

        Raises `UsageError` naming the line when anything but the last line is no event.
        """
        with without_collection():
            history = cls(Lines(path))
        if objectives:
            history._few.pop(e.ObjectivesGiven, None)
            start_ns = min((told[0].t_ns for told in history._kinds), default=0)
            history._few[e.ObjectivesGiven] = [msgspec.structs.replace(one, t_ns=start_ns) for one in objectives]
        return history

    def moved(self, by_ns: Mapping[str, int]) -> History:
        """The same history if the clocks of other machines stood otherwise than they were measured to."""
        moved = History(self._written, moved=by_ns, block_rows=self._block_rows)
        moved._few[e.ObjectivesGiven] = self._few.get(e.ObjectivesGiven, [])
        return moved

    def _filled(self, *, stop_at_hosts: bool = False) -> bool:
        """Whether all events were taken; with ``stop_at_hosts`` the first one of another machine ends it."""
        self._requests, self._samples = RequestTable(self._block_rows), SampleTable(self._block_rows)
        self._processes = ProcessTable(self._block_rows)
        many: dict[type[e.Event], Any] = {
            e.RequestRecord: self._requests,
            e.Sample: self._samples,
            e.Exchange: ExchangeTable(self._block_rows),
            e.ProcessSeen: self._processes,
            e.LoadHealth: PlainTable(self._block_rows),
            e.CpuWaits: PlainTable(self._block_rows),
        }
        self._few: dict[type[e.Event], list[Any]] = {}
        self.extras = Counter[str]()
        """Fields that this version does not know, ``type.field``, by how often there was one."""
        adds = {kind: table.add for kind, table in many.items()}
        for place, event in self._source.placed():
            if stop_at_hosts and event.host:
                return False
            if event.extra:
                self.extras.update(f"{event.__struct_config__.tag}.{name}" for name in event.extra)
            add = adds.get(type(event))
            if add is None:
                self._few.setdefault(type(event), []).append(event)
            else:
                add(event, place)
        for told in self._few.values():
            told.sort(key=attrgetter("t_ns"))
        for table in many.values():
            table.finish()
        self._many: dict[type[e.Event], Selection[Any]] = {
            kind: Selection(table, self._source) for kind, table in many.items()
        }
        self._requests.counts_known = counts_known(
            next((one.promises for one in self._few.get(e.DrillStarted, [])), {})
        )
        self._many[e.RequestRecord] = Requests(self._requests, self._source)
        return True

    def __len__(self) -> int:
        return sum(map(len, self._kinds))

    def of(self, kind: type[E]) -> Sequence[E]:
        """All events of one kind."""
        return self._many[kind] if kind in self._many else self._few.get(kind, [])

    @property
    def events(self) -> list[e.AnyEvent]:
        """All of them at once, in the order of time: for what is small."""
        return sorted((event for _, event in self._source.placed()), key=attrgetter("t_ns"))

    @cached_property
    def all_known(self) -> bool:
        """Whether this version could read all that is in it; only a newer format has fields that are new."""
        newer = self.drill is None or self.drill.format > e.FORMAT
        return not self.of(e.Unknown) and not (newer and self.extras)

    @cached_property
    def drill(self) -> e.DrillStarted | None:
        """What was written down at the beginning; None where that is missing."""
        return next(iter(self.of(e.DrillStarted)), None)

    @property
    def control(self) -> bool:
        """Whether nothing was broken on purpose."""
        return self.drill is not None and self.drill.control

    @cached_property
    def promises(self) -> Promises:
        """What the stack said of itself. One of them raises `LookupError` where it said nothing of that."""
        return as_made(self.drill.promises if self.drill else {})

    def promised(self, promise: Callable[[Promises], T], *, otherwise: T) -> T:
        """A promise that a history may lack: ``history.promised(lambda p: p.pace, otherwise=1.0)``."""
        try:
            return promise(self.promises)
        except LookupError:
            return otherwise

    @property
    def counts_known(self) -> bool:
        """Whether the server's counts of tokens are known to be true."""
        return self._requests.counts_known

    @cached_property
    def spoken(self) -> Spoken:
        """How the stack talks; OpenAI's own way where nobody asked."""
        seen = next(iter(self.of(e.DialectSeen)), None)
        return Spoken(dialect=as_told(seen.dialect), pinned=seen.pinned, notes=seen.notes) if seen else Spoken()

    @cached_property
    def start_ns(self) -> int:
        """The first instant of any event; 0 where there is none."""
        return min((told[0].t_ns for told in self._kinds), default=0)

    @cached_property
    def end_ns(self) -> int:
        """The last instant of any event; 0 where there is none."""
        return max((told[-1].t_ns for told in self._kinds), default=0)

    def seconds(self, t_ns: int) -> float:
        """Seconds since the history began."""
        return (t_ns - self.start_ns) / 1e9

    # ---- windows and faults

    @cached_property
    def windows(self) -> dict[str, Window]:
        """Window name -> window; one that was never closed ends with the history."""
        opened = {event.window: event.t_ns for event in self.of(e.WindowOpened)}
        closed = {event.window: event.t_ns for event in self.of(e.WindowClosed)}
        return {name: Window(name, start, closed.get(name, self.end_ns)) for name, start in opened.items()}

    @cached_property
    def faults(self) -> list[FaultSpan]:
        """Every lease, in the order of the injections."""
        evidence = {event.lease: event for event in self.of(e.FaultEvidence)}
        healed = {event.lease: event for event in self.of(e.FaultHealed)}
        return [
            FaultSpan(event, evidence.get(event.lease), healed.get(event.lease)) for event in self.of(e.FaultInjected)
        ]

    def fault(self, kind: str, target: str, *, window: str | None = None) -> FaultSpan | None:
        """The first fault of a kind on a target, inside a window if one is named."""
        within = self.windows.get(window) if window else None
        for span in self.faults:
            if (
                span.injected.fault == kind
                and span.injected.target == target
                and (within is None or span.start_ns in within)
            ):
                return span
        return None

    # ---- requests

    @property
    def classes(self) -> list[str]:
        """Request classes of which there was one at least."""
        return self._requests.classes.all

    def requests(
        self, window: str | None = None, *, classes: Iterable[str] | None = None, cancelled: bool = False
    ) -> Requests:
        """Requests that were due in a window, of some classes.

        Those that the drill cancelled only with ``cancelled``. Raises `KeyError` for a window that never opened.
        """
        found = Requests(self._requests, self._source)
        if window:
            found = found.due(self.windows[window].start_ns, self.windows[window].end_ns)
        if classes is not None:
            found = found.of_classes(classes)
        return found if cancelled else found.attempted

    def undisturbed(self, window: str, *, classes: Iterable[str] | None = None, by: str = "t_end_ns") -> Requests:
        """`requests` that were over before the first fault that was injected after the window; ``by`` another column of
        instants: that had come as far.

        What became of them is the window's own doing. Raises `KeyError` for a window that never opened.
        """
        next_ns = min(
            (span.start_ns for span in self.faults if span.start_ns >= self.windows[window].end_ns),
            default=self.end_ns + 1,
        )
        return self.requests(window, classes=classes).where(by, test=lambda at_ns: at_ns < next_ns)

    @cached_property
    def exchanges(self) -> Selection[e.Exchange]:
        """The last word on every exchange that a tap saw, completions only, in the order of their requests."""
        return last_words(self._many[e.Exchange], self._block_rows)

    @cached_property
    def exchanges_of(self) -> dict[str, list[e.Exchange]]:
        """Request id -> its tries as the wire saw them."""
        found: dict[str, list[e.Exchange]] = {}
        for exchange in self.exchanges:
            if exchange.request_id:
                found.setdefault(exchange.request_id, []).append(exchange)
        return found

    # ---- measurements

    def samples(
        self, source: str | None = None, *, role: str | None = None, window: str | None = None
    ) -> Selection[e.Sample]:
        """Scrapes of one replica, of all of a role, in a window, in the order of time.

        Raises `KeyError` for a window that never opened.
        """
        found: Selection[e.Sample] = self._many[e.Sample]
        if window:
            found = found.between("t_ns", self.windows[window].start_ns, self.windows[window].end_ns)
        if source is not None:
            found = found.where("source", test=self._samples.sources.get(source, -1).__eq__)
        if role is not None:
            found = found.where("role", test=self._samples.roles.get(role, -1).__eq__)
        return found

    def sources(self, role: str) -> list[str]:
        """Names of the replicas that were scraped."""
        return sorted(source for whose, source in self._samples.seen if whose == role)

    @cached_property
    def pages(self) -> dict[str, e.SourceSeen]:
        """Replica -> the last word on whose metrics page it has."""
        return {event.source: event for event in self.of(e.SourceSeen)}

    def absent(self, source: str, word: str) -> str:
        """Why a replica gives no such word, by the name of the metric that is not there."""
        page = self.pages.get(source)
        if page is None or not page.vendor:
            found = (
                f": nobody's page that is known, its names begin with {', '.join(page.names)}"
                if page and page.names
                else ""
            )
            return f"{source} does not give {word!r}{found}"
        whose = f"{page.vendor} {page.version}".strip()
        if word not in page.words:
            return f"{source}: {whose} publishes no {word!r}"
        return f"{source}: no {page.words[word]} on the page of {whose}"

    def publishes(self, source: str, word: str) -> bool:
        """Whether the replica's vendor has a metric for the word.

        A replica whose vendor nobody noted is held to all of them.
        """
        page = self.pages.get(source)
        return page is None or not page.vendor or word in page.words

    def processes(self, name: str) -> Selection[e.ProcessSeen]:
        """Looks at one process by its name, in the order of time."""
        found: Selection[e.ProcessSeen] = self._many[e.ProcessSeen]
        return found.where("name", test=self._processes.names.get(name, -1).__eq__)

    def observed(self, name: str) -> e.Observed | None:
        """The last measurement of that name."""
        return next((event for event in reversed(self.of(e.Observed)) if event.name == name), None)

    @property
    def _kinds(self) -> list[Sequence[Any]]:
        """The events of each kind that there are some of."""
        return [told for told in chain(self._few.values(), self._many.values()) if len(told)]
