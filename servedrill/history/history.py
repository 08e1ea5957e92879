"""A history as checkers read it: events by kind, by window, by replica. Nothing in it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from servedrill.history import events as e
from servedrill.history.clocks import Clocks, on_one_clock
from servedrill.history.promises import Promises, as_made

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
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class FaultSpan:
    """One lease from its injection to its healing; ``None`` for what was never written down."""

    injected: e.FaultInjected
    evidence: e.FaultEvidence | None
    healed: e.FaultHealed | None

    @property
    def start_ns(self) -> int:
        return self.injected.t_ns

    @property
    def end_ns(self) -> int | None:
        return self.healed.t_ns if self.healed else None


class History:
    """Events in the order of time, all on the clock of the drill's machine."""

    def __init__(self, events: Sequence[e.AnyEvent], *, moved: Mapping[str, int] | None = None) -> None:
        """``moved``: machine -> nanoseconds by which its events are put later than its clock says."""
        self._written = events
        self.clocks: Clocks
        self.events, self.clocks = on_one_clock(events, moved=moved)
        self._by_kind: dict[type[e.Event], list[Any]] = {}
        for event in self.events:
            self._by_kind.setdefault(type(event), []).append(event)

    def moved(self, by_ns: Mapping[str, int]) -> History:
        """The same history if the clocks of other machines stood otherwise than they were measured to."""
        return History(self._written, moved=by_ns)

    def of(self, kind: type[E]) -> list[E]:
        """All events of one kind."""
        return self._by_kind.get(kind, [])

    @cached_property
    def all_known(self) -> bool:
        """Whether this version could read all that is in it; only a newer format has fields that are new."""
        newer = self.drill is None or self.drill.format > e.FORMAT
        return not self.of(e.Unknown) and not (newer and any(event.extra for event in self.events))

    @cached_property
    def drill(self) -> e.DrillStarted | None:
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

    @cached_property
    def start_ns(self) -> int:
        return self.events[0].t_ns if self.events else 0

    @cached_property
    def end_ns(self) -> int:
        return self.events[-1].t_ns if self.events else 0

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

    def requests(
        self, window: str | None = None, *, classes: Iterable[str] | None = None, cancelled: bool = False
    ) -> list[e.RequestRecord]:
        """Requests that were due in a window, of some classes.

        Those that the drill cancelled only with ``cancelled``. Raises `KeyError` for a window that never opened.
        """
        within = self.windows[window] if window else None
        wanted = set(classes) if classes is not None else None
        return [
            request
            for request in self.of(e.RequestRecord)
            if (within is None or request.t_int_ns in within)
            and (wanted is None or request.cls in wanted)
            and (cancelled or request.cancelled_ns is None)
        ]

    def undisturbed(self, window: str, *, classes: Iterable[str] | None = None) -> list[e.RequestRecord]:
        """`requests` that were over before the first fault that was injected after the window.

        What became of them is the window's own doing. Raises `KeyError` for a window that never opened.
        """
        next_ns = min(
            (span.start_ns for span in self.faults if span.start_ns >= self.windows[window].end_ns),
            default=self.end_ns + 1,
        )
        return [request for request in self.requests(window, classes=classes) if request.t_end_ns < next_ns]

    @cached_property
    def exchanges(self) -> list[e.Exchange]:
        """The last word on every exchange that a tap saw, completions only, in the order of their requests."""
        last: dict[tuple[str, int], e.Exchange] = {}
        for event in self.of(e.Exchange):
            if event.method == "POST" and event.path.partition("?")[0].endswith("/completions"):
                last[event.hop, event.seq] = event
        return sorted(last.values(), key=lambda exchange: exchange.t_request_ns)

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
    ) -> list[e.Sample]:
        within = self.windows[window] if window else None
        return [
            sample
            for sample in self.of(e.Sample)
            if (source is None or sample.source == source)
            and (role is None or sample.role == role)
            and (within is None or sample.t_ns in within)
        ]

    def sources(self, role: str) -> list[str]:
        """Names of the replicas that were scraped."""
        return sorted({sample.source for sample in self.of(e.Sample) if sample.role == role})

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

    def processes(self, name: str) -> list[e.ProcessSeen]:
        return [event for event in self.of(e.ProcessSeen) if event.name == name]

    def observed(self, name: str) -> e.Observed | None:
        """The last measurement of that name."""
        return next((event for event in reversed(self.of(e.Observed)) if event.name == name), None)
