"""Live progress and the final table, with rich; plain lines where the output is no terminal.

NO_COLOR and TERM=dumb are respected by rich itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from servedrill.checkers.finding import Answer, Finding
from servedrill.judging.quarantine import Entry, outcome, quarantined
from servedrill.judging.verdict import Verdict
from servedrill.judging.words import decisive, times
from servedrill.load.messages import Status
from servedrill.reporting.advice import described, remedy_of, software_of
from servedrill.reporting.shown import Drawn
from servedrill.reporting.tables import print_table

STYLES = {Answer.PASS: "bold green", Answer.FAIL: "bold red", Answer.INCONCLUSIVE: "bold yellow"}


class ConsoleProgress:
    """One drill's progress: phase, active faults, rates and errors."""

    def __init__(self, console: Console, drill: str) -> None:
        self._console, self._drill = console, drill
        self._began = time.monotonic()
        self._phase = ""
        self._said = False
        self._faults: list[str] = []
        self._status: Status | None = None
        self._live = (
            Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._line)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> ConsoleProgress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def phase(self, name: str, step: str) -> None:
        """A phase, or a step of one, began."""
        self._phase = f"{name}: {step}" if step else name
        self._say(self._phase)

    def fault(self, name: str, target: str, *, active: bool) -> None:
        """A fault is in place, or is healed."""
        label = f"{name} on {target}"
        if active:
            self._faults.append(label)
        elif label in self._faults:
            self._faults.remove(label)
        self._say(f"{'injected' if active else 'healed'} {label}")

    def tick(self, status: Status | None) -> None:
        """The load's last word; None where it said nothing since."""
        self._status = status or self._status

    def _say(self, text: str) -> None:
        if self._live is None:
            if not self._said:
                self._console.print()
                self._said = True
            self._console.print(
                f"  {time.monotonic() - self._began:6.1f} s  {self._drill}: {text}{_rates(self._status)}", markup=False
            )

    def _line(self) -> RenderableType:
        text = Text(f"{self._drill}  ", style="bold")
        text.append(f"{time.monotonic() - self._began:5.1f} s  ", style="dim")
        text.append(self._phase)
        for fault in self._faults:
            text.append(f"  ✗ {fault}", style="red")
        text.append(_rates(self._status), style="dim")
        return Drawn(Group(Spinner("dots", text)))


def _rates(status: Status | None) -> str:
    if status is None:
        return ""
    errors = sum(status.failed.values())
    return f"  ({status.sent} sent, {status.in_flight} in flight, {status.tokens_per_s:.0f} tokens/s, {errors} errors)"


def print_summary(console: Console, verdicts: list[Verdict], folder: str, *, quarantine: Sequence[Entry] = ()) -> None:
    """The final table, and everything that was not proven; what does not gate by a quarantine says so."""
    for verdict in verdicts:
        doubts = [*verdict.of(Answer.FAIL), *verdict.of(Answer.INCONCLUSIVE)]
        unclaimed = _unclaimed(verdict)
        if doubts or unclaimed:
            console.print()
            console.print(
                Text.assemble(
                    (verdict.drill, "bold"),
                    "  ",
                    (verdict.answer.value.upper(), STYLES[verdict.answer]),
                    f"  seed {verdict.seed}",
                )
            )
            software = software_of(verdict, described(Path(folder), verdict.drill))
            for finding in doubts:
                console.print(_explained(finding))
                if remedy := remedy_of(finding):
                    advice = Text(f"what to do: {remedy.short(software)}")
                    console.print(Padding(advice, (0, 0, 0, 15), expand=False))
            for line in unclaimed:
                console.print(line)
    console.print()
    print_table(console, summary_table(verdicts, quarantine))
    for told in quarantined(verdicts, quarantine):
        console.print(told, markup=False, soft_wrap=True)
    console.print(f"evidence: {folder}", soft_wrap=True, markup=False)


def _unclaimed(verdict: Verdict) -> list[Text]:
    """What the stack does not claim: weaknesses that its file declares and this drill saw, parts that it has nothing
    for, and how it talks."""
    lines = []
    for finding in verdict.weaknesses:
        text = Text("  ")
        text.append(f"{'WEAKNESS':12}", style="bold magenta")
        text.append(f" {finding.declared}\n")
        text.append(f"               {finding.checker}: seen {finding.observed}", style="dim")
        text.append(f"; window {finding.window}" if finding.window else "", style="dim")
        lines.append(text)
    for reason in dict.fromkeys(skipped.reason for skipped in verdict.skipped):
        parts = [skipped.part for skipped in verdict.skipped if skipped.reason == reason]
        text = Text("  ")
        text.append(f"{'SKIPPED':12}", style="bold")
        text.append(f" {reason}\n")
        text.append(f"               {' '.join(dict.fromkeys(parts))}", style="dim")
        lines.append(text)
    if verdict.conformance:
        text = Text("  ")
        text.append(f"{'DIALECT':12}", style="bold")
        text.append(" Not as OpenAI has it, and no failure:\n")
        text.append(
            f"               {'; '.join(f'{one.what}: {one.here}' for one in verdict.conformance)}", style="dim"
        )
        lines.append(text)
    return lines


def summary_table(verdicts: list[Verdict], quarantine: Sequence[Entry] = ()) -> Table:
    """Drill, verdict, hypothesis, decisive figures, times to detect, fail over, recover and restore."""
    table = Table(title="servedrill", title_justify="left", show_lines=True, expand=False)
    table.add_column("drill", style="bold", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("hypothesis", ratio=3)
    table.add_column("decisive figures", ratio=4)
    table.add_column("detect / fail over / recover / MTTR", no_wrap=True)
    for verdict in verdicts:
        table.add_row(
            Text(verdict.drill + ("\n(control)" if verdict.control else "")),
            Text(
                verdict.answer.value.upper() + ("\nquarantined" if outcome(verdict, quarantine).quarantined else ""),
                style=STYLES[verdict.answer],
            ),
            Text(verdict.hypothesis),
            Text(decisive(verdict) + _unclaimed_counts(verdict)),
            times(verdict),
        )
    return table


def _unclaimed_counts(verdict: Verdict) -> str:
    counts = ((len(verdict.weaknesses), "declared weaknesses seen"), (len(verdict.skipped), "parts skipped"))
    return "".join(f"\n{count} {what}" for count, what in counts if count)


def _explained(finding: Finding) -> Text:
    text = Text("  ")
    text.append(f"{finding.answer.value.upper():12}", style=STYLES[finding.answer])
    text.append(f" {finding.claim}\n")
    text.append(f"               seen {finding.observed}")
    if finding.threshold:
        text.append(f"; expected {finding.threshold}")
    if finding.window:
        text.append(f"; window {finding.window}")
    if finding.evidence:
        text.append(f"\n               evidence {', '.join(finding.evidence)}", style="dim")
    return text
