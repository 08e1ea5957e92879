"""The console: what people see of a drill while it runs, and what they get in the end."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from servedrill.checkers.finding import Answer, Finding
from servedrill.drill.progress import Progress, Silent
from servedrill.judging.verdict import Verdict
from servedrill.load.messages import Status
from servedrill.reporting.console import ConsoleProgress, print_summary
from servedrill.reporting.tables import console_for

PASSED = Finding(
    checker="Fast", answer=Answer.PASS, claim="It is fast.", observed="p99 3 ms", threshold="5 ms", figures={"p99": 3.0}
)
FAILED = Finding(
    checker="Exact",
    answer=Answer.FAIL,
    claim="Every word is right.",
    observed="2 of 9 wrong",
    threshold="0",
    window="inject",
    evidence=["chat-1", "chat-7"],
)
UNKNOWN = Finding(checker="Enough", answer=Answer.INCONCLUSIVE, claim="There was enough.", observed="no samples")


@pytest.fixture(autouse=True)
def nobody_told_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-xdist tells it to its workers."""
    monkeypatch.delenv("COLUMNS", raising=False)


def verdict(answer: Answer, *findings: Finding, control: bool = False, **times: float) -> Verdict:
    return Verdict(
        drill="made_up",
        answer=answer,
        hypothesis="It holds.",
        seed=7,
        control=control,
        defects=[],
        findings=list(findings),
        **times,
    )


def shown(*verdicts: Verdict) -> str:
    file = io.StringIO()
    print_summary(console_for(file), list(verdicts), "/runs/latest")
    return file.getvalue()


def test_a_proven_drill_shows_its_figures_and_times() -> None:
    """One row: verdict, hypothesis, what was measured, how long it took to detect, fail over and recover."""
    text = shown(verdict(Answer.PASS, PASSED, detect_s=0.44, failover_s=1.0))
    for part in (
        "made_up",
        "PASS",
        "It holds.",
        "1 claims proven; p99 3 ms",
        "0.4 s / 1.0 s / -",
        "evidence: /runs/latest",
    ):
        assert part in text
    assert "claim" not in text.split("servedrill")[0]


def test_what_was_not_proven_is_explained_before_the_table() -> None:
    """Claim, what was seen, what was expected, where, and the evidence: refutations first, then doubts."""
    text = shown(verdict(Answer.FAIL, UNKNOWN, PASSED, FAILED))
    before = text.split("servedrill")[0]
    assert before.index("Every word is right.") < before.index("There was enough.")
    assert "seen 2 of 9 wrong; expected 0; window inject" in before
    assert "evidence chat-1, chat-7" in before
    assert "It is fast." not in before
    assert (
        "Exact: 2 of 9 wrong; Enough: no samples" in text.replace("│", "").replace("\n", " ").replace("  ", " ")
        or "Exact: 2 of 9 wrong" in text
    )


def test_a_control_is_named_as_such() -> None:
    """A green control must not be taken for a drill that held."""
    assert "(control)" in shown(verdict(Answer.PASS, PASSED, control=True))


def test_text_in_brackets_is_text() -> None:
    """What a stack says of itself is shown as it is, and not taken for markup."""
    odd = Finding(
        checker="Odd",
        answer=Answer.FAIL,
        claim="[bold]Odd[/bold] names.",
        observed="[red]x[/] \\[y]",
        evidence=["[link=a]b[/link]"],
    )
    text = shown(verdict(Answer.FAIL, odd))
    assert "[bold]Odd[/bold] names." in text
    assert "[red]x[/] \\[y]" in text
    assert "[link=a]b[/link]" in text


def test_brackets_in_a_hypothesis_and_in_figures_are_text() -> None:
    """The table is no markup either."""
    odd = msgspec.structs.replace(PASSED, observed="kinds [a, b]")
    text = shown(msgspec.structs.replace(verdict(Answer.PASS, odd), hypothesis="It [always] holds."))
    assert "It [always] holds." in text
    assert "[a, b]" in text


def test_nothing_breaks_lines_where_nobody_told_the_width() -> None:
    """A log file has no columns; colours stay out of it."""
    text = shown(verdict(Answer.PASS, PASSED))
    assert max(map(len, text.splitlines())) > 80
    assert "\x1b" not in text


@pytest.mark.parametrize("columns", [80, 109, 110])
def test_where_the_width_is_told_it_is_kept(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Terminals of 80 columns, COLUMNS in a pipe: rows become paragraphs, and no word is cut in columns of two."""
    monkeypatch.setenv("COLUMNS", str(columns))
    text = shown(verdict(Answer.PASS, PASSED, detect_s=0.44, failover_s=1.0))
    assert max(map(len, text.splitlines())) <= columns
    assert ("│" in text) == (columns >= 110)
    for part in ("made_up", "PASS", "It holds.", "1 claims proven; p99 3 ms", "0.4 s / 1.0 s / -"):
        assert part in text
    if columns < 110:
        assert "  verdict: PASS\n  hypothesis: It holds.\n  decisive figures: 1 claims" in text


def test_progress_in_a_log_is_one_line_a_step() -> None:
    """With the seconds since the start, what was injected and healed, and the traffic's latest figures."""
    file = io.StringIO()
    with ConsoleProgress(console_for(file), "made_up") as progress:
        progress.phase("starting the stack", "")
        progress.phase("baseline", "")
        progress.tick(Status(sent=9, in_flight=2, tokens_per_s=31.0, failed={"cut": 1, "reset": 2}))
        progress.tick(None)
        progress.fault("latency", "engine-0", active=True)
        progress.phase("heal", "latency on engine-0")
        progress.fault("latency", "engine-0", active=False)
        progress.fault("never", "injected", active=False)
    lines = [line[11:] for line in file.getvalue().splitlines() if line]
    figures = "  (9 sent, 2 in flight, 31 tokens/s, 3 errors)"
    assert [line.strip() for line in lines] == [
        "made_up: starting the stack",
        "made_up: baseline",
        f"made_up: injected latency on engine-0{figures}",
        f"made_up: heal: latency on engine-0{figures}",
        f"made_up: healed latency on engine-0{figures}",
        f"made_up: healed never on injected{figures}",
    ]


def test_progress_on_a_terminal_leaves_nothing_behind() -> None:
    """It is drawn over and over, and gone in the end."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, highlight=False)
    with ConsoleProgress(console, "made_up") as progress:
        progress.phase("inject", "")
        progress.fault("latency", "engine-0", active=True)
        progress.tick(Status(sent=1))
        console.print(progress._line())
        progress.fault("latency", "engine-0", active=False)
    text = file.getvalue()
    assert "✗ latency on engine-0" in text
    assert "1 sent" in text
    assert text.endswith(("\x1b[2K", "\x1b[?25h", "\n")) or "\x1b[?25h" in text


def test_a_drill_may_also_be_silent() -> None:
    """Nobody has to listen."""
    silent: Progress = Silent()
    silent.phase("a", "b")
    silent.fault("a", "b", active=True)
    silent.tick(None)
