"""What people see of a day while it goes on: a picture at a terminal, lines everywhere else."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from servedrill.checkers.finding import Answer
from servedrill.gameday import record as r
from servedrill.gameday.live import Reading
from servedrill.gameday.people import keys
from servedrill.gameday.plan import Plan
from servedrill.gameday.told import told
from servedrill.load.messages import Status
from servedrill.reporting.console import STYLES
from servedrill.reporting.shown import Drawn, shown

_LOG_LINES = 8
_MARKS = {Answer.PASS: "✓", Answer.FAIL: "✗", Answer.INCONCLUSIVE: "?"}


class View:
    """Lines, one for each entry; what a picture shows besides is left out."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def entry(self, entry: r.AnyEntry) -> None:
        """Something happened."""
        if line := told(entry):
            at = datetime.fromtimestamp(entry.at_s or time.time()).strftime("%H:%M:%S")
            self._console.print(f"{at}  {shown(line)}", markup=False, highlight=False, soft_wrap=True)

    def phase(self, what: str) -> None:
        """A drill is in another phase."""

    def status(self, status: Status | None) -> None:
        """The load's latest."""

    def readings(self, readings: Sequence[tuple[str, Reading]]) -> None:
        """The probes of the steady state, now."""

    def broken(self, faults: list[str]) -> None:
        """What is in place now."""

    def pressed(self) -> str:
        """A key; empty where none was."""
        return ""

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Room for a question."""
        yield

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """Shown inside the block."""
        yield


class Picture(View):
    """The plan with its step, service levels, what is broken, who said what; redrawn four times a second."""

    def __init__(self, console: Console, plan: Plan) -> None:
        super().__init__(console)
        self._plan, self._began = plan, time.monotonic()
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._answers: dict[str, Answer] = {}
        self._now, self._state, self._phase = "", "preparing", ""
        self._status: Status | None = None
        self._readings: Sequence[tuple[str, Reading]] = ()
        self._broken: list[str] = []
        self._live = RichLive(console=console, refresh_per_second=4, transient=True, get_renderable=self._draw)
        self._key: Callable[[], str] = lambda: ""
        self._paused = False

    def entry(self, entry: r.AnyEntry) -> None:
        """Into the log, and into the plan."""
        match entry:
            case r.StateChanged():
                self._state = entry.state
                return
            case r.StepBegun():
                self._now, self._phase = entry.step, ""
            case r.StepEnded():
                self._answers[entry.step] = entry.answer
        at = datetime.fromtimestamp(entry.at_s or time.time()).strftime("%H:%M:%S")
        self._log.append(f"{at}  {shown(told(entry))}")

    def phase(self, what: str) -> None:
        """Behind the step that goes on."""
        self._phase = what

    def status(self, status: Status | None) -> None:
        """Rates and errors."""
        self._status = status

    def readings(self, readings: Sequence[tuple[str, Reading]]) -> None:
        """In the line of service levels."""
        self._readings = readings

    def broken(self, faults: list[str]) -> None:
        """In red."""
        self._broken = faults

    def pressed(self) -> str:
        """A key at this terminal, while no question is asked."""
        return "" if self._paused else self._key()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The picture makes room."""
        import termios
        import tty

        self._paused = True
        self._live.stop()
        cooked = termios.tcgetattr(sys.stdin.fileno())
        lined = list(cooked)
        lined[3] |= termios.ICANON | termios.ECHO
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, lined)
        for line in self._log:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._log.clear()
        try:
            yield
        finally:
            tty.setcbreak(sys.stdin.fileno())
            self._live.start()
            self._paused = False

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """On the screen inside the block."""
        with keys() as self._key:
            self._live.start()
            try:
                yield
            finally:
                self._live.stop()
                self._console.print(self._draw())

    def _draw(self) -> RenderableType:
        steps = Table(box=None, show_header=False, pad_edge=False, expand=False)
        for step in self._plan.steps:
            mark = _MARKS[self._answers[step.step]] if step.step in self._answers else " "
            here = step.step == self._now and step.step not in self._answers
            style = (
                str(STYLES.get(self._answers[step.step])) if step.step in self._answers else "bold" if here else "dim"
            )
            title = f"{step.title}  {self._phase}" if here and self._phase else step.title
            if here:
                about = (("expected", step.expected), ("runbook", step.runbook))
                title = "\n".join([title, *(f"{word}: {said}" for word, said in about if said)])
            steps.add_row(Text("▶" if here else mark or " ", style), Text(step.step, style), Text(shown(title), style))
        minutes, rest = divmod(int(time.monotonic() - self._began), 60)
        head = Text.assemble((shown(self._plan.title), "bold"), f"   {self._state.upper()}   {minutes}:{rest:02d}")
        levels = Text(
            "  ".join(
                f"{one.said}{'' if one.holds else ' ✗' if one.holds is False else ' ?'}" for _, one in self._readings
            )
        )
        if self._status is not None:
            levels.append(f"   {self._status.in_flight} in flight, {self._status.tokens_per_s:.0f} tokens/s")
        broken = (
            Text("BROKEN  " + ", ".join(self._broken), "bold red") if self._broken else Text("nothing is broken", "dim")
        )
        log = [Text(line, overflow="ellipsis", no_wrap=True) for line in self._log]
        keys_ = Text(
            'h: halt, heals at once.  Elsewhere: servedrill gameday note "...", servedrill halt --reason ...', "dim"
        )
        return Drawn(Group(head, Text(), steps, Text(), levels, broken, Text(), *log, Text(), keys_))
