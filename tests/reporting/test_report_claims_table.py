"""Runs on several stacks side by side: the worst of each, said how often, and nothing that was not seen."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from markdown_it import MarkdownIt
from report_world import EVIL, history, hostile_verdict, stored, verdict

from servedrill.checkers.finding import Answer
from servedrill.commands import main as cli
from servedrill.history import events as e
from servedrill.reporting.claims_table import claims_of, claims_table
from servedrill.runs.stored import StoredRun


def on(stack: str, folder: Path, answer: Answer) -> StoredRun:
    """A run of one drill on that stack."""
    events = [msgspec.structs.replace(x, stack=stack) if isinstance(x, e.DrillStarted) else x for x in history()]
    return stored(folder, drills={"paper": events}, verdicts={"paper": verdict(answer)})


def test_a_stack_is_a_column_and_the_worst_of_its_runs_counts(tmp_path: Path) -> None:
    """And one that was never asked has no answer, which is not a pass."""
    runs = [
        on("envoy", tmp_path / "a", Answer.FAIL),
        on("envoy", tmp_path / "b", Answer.PASS),
        on("envoy", tmp_path / "c", Answer.FAIL),
        on("nginx", tmp_path / "d", Answer.PASS),
    ]
    rows = {row.checker: {stack: cell.words for stack, cell in row.cells.items()} for row in claims_of(runs)}
    assert rows["Fast"] == {"envoy": "✅", "nginx": "✅"}
    assert rows["Exact"] == {"envoy": "❌", "nginx": "–"}
    runs[2] = on("envoy", tmp_path / "e", Answer.INCONCLUSIVE)
    rows = {row.checker: {stack: cell.words for stack, cell in row.cells.items()} for row in claims_of(runs)}
    assert rows["Enough"]["envoy"] == "⚠️"
    mended = msgspec.structs.replace(verdict().findings[-1], answer=Answer.PASS)
    passed = msgspec.structs.replace(verdict(Answer.PASS), findings=[mended])
    runs.append(stored(tmp_path / "f", drills={"paper": history()}, verdicts={"paper": passed}))
    runs.append(stored(tmp_path / "g", drills={"paper": history()}, verdicts={"paper": verdict()}))
    (exact,) = [row for row in claims_of(runs) if row.checker == "Exact"]
    assert exact.cells["paper stack"].words == "❌ 1 of 2"


def test_what_was_seen_is_what_the_sign_stands_for(tmp_path: Path) -> None:
    """A later doubt does not take its place; drills keep the order in which they ran."""
    doubt = msgspec.structs.replace(verdict().findings[-1], answer=Answer.INCONCLUSIVE, observed="nobody looked")
    later = msgspec.structs.replace(verdict(Answer.INCONCLUSIVE), findings=[doubt])
    runs = [
        stored(tmp_path / "a", drills={"paper": history()}, verdicts={"paper": verdict()}),
        stored(tmp_path / "b", drills={"paper": history()}, verdicts={"paper": later}),
        stored(tmp_path / "c", drills={"early": history()}, verdicts={"early": verdict(drill="early")}),
    ]
    rows = claims_of(runs)
    (exact,) = [row.cells["paper stack"] for row in rows if (row.drill, row.checker) == ("paper", "Exact")]
    assert (exact.words, exact.seen.partition(";")[0]) == ("❌ 1 of 2", "2 of 9 wrong")
    assert list(dict.fromkeys(row.drill for row in rows)) == ["paper", "early"]


def test_a_weakness_that_was_declared_stays_refuted(tmp_path: Path) -> None:
    """The table is about what a stack does, not about what it promises."""
    findings = [msgspec.structs.replace(one, declared="Known.") for one in verdict().findings[-1:]]
    weak = msgspec.structs.replace(verdict(Answer.PASS), findings=findings)
    run = stored(tmp_path / "a", drills={"paper": history()}, verdicts={"paper": weak})
    assert "| ❌ declared |" in claims_table([run])
    assert "2 of 9 wrong; expected 0; window fire" in claims_table([run])


def test_whether_a_drill_could_be_judged_is_no_claim_of_a_stack(tmp_path: Path) -> None:
    text = claims_table([on("envoy", tmp_path / "a", Answer.PASS)])
    assert "It is fast" in text and "The load was on time" not in text
    assert "2026-01-02, seed 7, servedrill 0" in text


def test_what_a_stack_says_is_text_in_it(tmp_path: Path) -> None:
    """It is pasted into documentation."""
    run = stored(tmp_path / "a", drills={"paper": history()}, verdicts={"paper": hostile_verdict()})
    page = MarkdownIt("commonmark").enable("table").render(claims_table([run]))
    assert "<script>" not in page and "<img" not in page and EVIL not in page


def test_the_command_prints_it_and_says_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = on("envoy", tmp_path / "a", Answer.FAIL)
    assert cli.main(["table", str(run.folder)]) == 0
    assert capsys.readouterr().out == claims_table([run])
    assert cli.main(["table", "--json", str(run.folder)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["cells"]["envoy"]["answers"] for row in told if row["checker"] == "Exact"] == [["fail"]]
    assert cli.main(["table", str(tmp_path / "none")]) == 4
    assert "no run in it" in capsys.readouterr().err
