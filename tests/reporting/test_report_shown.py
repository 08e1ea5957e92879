"""What a stack calls itself and its models reaches no terminal, page or file as a command: it is shown."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from report_world import history, hostile, hostile_verdict, run_folder
from rich.console import Console

from servedrill.commands import main as cli
from servedrill.reporting.console import print_summary
from servedrill.reporting.incident import incident
from servedrill.reporting.junit import properties
from servedrill.reporting.markdown import summary
from servedrill.reporting.page import drill_page, json_in_script, render
from servedrill.reporting.shown import showing, shown
from servedrill.runs.stored import read_run

STEERS = "\x1b]0;owned\x07\x1b[2J\x00\r\x9b2J\u202eevil\u2066\u200b\ufeff\U000e0041"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\x00\x0d\x9b2J\u202eevil\u2066\u200b\ufeff\U000e0041"
HIDDEN = set(STEERS) - set("]0;owned[2Jvil")


def test_what_steers_is_shown_and_all_else_is_left() -> None:
    """Ends of lines and tabs, too."""
    assert shown(STEERS) == SHOWN
    assert shown("a\tb\nc é 漢 🙂 \\x1b") == "a\tb\nc é 漢 🙂 \\x1b"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_console_shows_it(terminal: bool) -> None:
    """In tables and in lines; what rich itself sends to a terminal are colours alone."""
    written = io.StringIO()
    console = showing(Console(file=written, width=160, force_terminal=terminal, color_system=None))
    console.print(f"model {STEERS}", markup=False, soft_wrap=True)
    print_summary(console, [hostile_verdict(STEERS)], f"/runs/{STEERS}")
    said = SHOWN.replace(r"\x07", "").replace(r"\x0d", "")  # rich leaves these out by itself
    assert f"model {said}\n" in written.getvalue()
    assert not HIDDEN & set(written.getvalue()) - {"\x1b"}
    assert "\x1b]" not in written.getvalue()
    assert "\x1b[2J" not in written.getvalue()


def test_page_markdown_incident_and_junit_show_it(tmp_path: Path) -> None:
    """Wherever a string of the history, the verdict or the stack stands."""
    made = hostile_verdict(STEERS)
    folder = run_folder(tmp_path / "run", drills={"paper": hostile(history(), STEERS)}, verdicts={"paper": made})
    (folder / "paper/stack.json").write_text(json.dumps({"name": STEERS}))
    run = read_run(folder)
    page = drill_page(run.drills[0])
    texts = {
        "page": render(run, [page]),
        "markdown": summary(run),
        "incident": incident(run, page),
        "junit": "".join(f"{name}={value}" for name, value in properties(made, folder)),
    }
    assert {name: HIDDEN & set(text) for name, text in texts.items() if HIDDEN & set(text)} == {}
    for name in ("page", "markdown", "incident"):
        assert r"\u202eevil" in texts[name].replace("\\\\", "\\"), name


def test_what_a_script_reads_is_shown() -> None:
    """Its strings come to what is shown elsewhere, a backslash to a backslash."""
    told = json.loads(json_in_script({"label": STEERS, "path": "C:\\x1b\\u001b \\", "lines": "a\nb"}))
    assert told["path"] == "C:\\x1b\\u001b \\"
    assert told["lines"] == "a\nb"
    assert not HIDDEN & set(told["label"])
    assert r"\u202eevil" in told["label"]


def test_an_error_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file's name, a word in a file."""
    assert cli.main(["report", str(tmp_path / "\x1b[2J\u202e")]) == 4
    assert r"\x1b[2J\u202e" in capsys.readouterr().err
