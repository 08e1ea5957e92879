"""The incident file: whoever reads it was not there, and has to know what to do."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt
from report_world import EVIL, history, hostile, hostile_verdict, run_folder, verdict

from servedrill.checkers.finding import Answer
from servedrill.reporting.leavings import leave


def incident(folder: Path) -> str:
    leave(folder)
    return (folder / "paper/incident.md").read_text()


def test_it_tells_what_was_tried_expected_seen_and_how_to_go_on(tmp_path: Path) -> None:
    """With owner and escalation of the stack file."""
    stack = tmp_path / "stack.toml"
    stack.write_text('owner = "Paper mill"\nescalation = "fire brigade, 112"\nenvironment = "staging"\n')
    text = incident(run_folder(tmp_path / "run", about={"options": {"stack_file": str(stack)}}))
    for said in (
        "# paper failed", "- Owner: Paper mill", "- Escalation: fire brigade, 112", "paper stack, staging",
        "Paper burns.",
        "- A: kill on engine-0, engine-1, from 4.0 s to 8.0 s: kill met engine-0; kill met engine-1",
        "- B: latency on gateway-0, from 5.0 s to the end, never healed", "**FAIL** Every word is right.",
        "Seen: 2 of 9 wrong; expected 0; window fire",
        "Could not be judged:", "There was enough.", "requests failed.", "- chat: ",
        "promised 95% whole with TTFT ≤ 800 ms",
        "`chat-000051` (named by a finding)", "alert ReplicaDown engine-0 firing", "paper/history.jsonl`",
        "logs/engine-0.log`",
        "pytest drills/test_paper.py --drill-seed 7    # the same schedule", f"servedrill judge {tmp_path}/run/paper",
    ):  # fmt: skip
        assert said in text, said


def test_without_a_stack_file_it_says_where_an_owner_would_be_named(tmp_path: Path) -> None:
    """Also when the file is gone or cannot be read any more."""
    for name, options in (("none", {}), ("gone", {"stack_file": str(tmp_path / "gone.toml")})):
        text = incident(run_folder(tmp_path / name, about={"options": options}))
        assert '- Owner: not stated (`owner = "..."` in the stack file)' in text


def test_only_a_drill_that_failed_has_one(tmp_path: Path) -> None:
    """Doubt is no incident."""
    made = {
        "a": verdict(Answer.PASS, drill="a"),
        "b": verdict(Answer.INCONCLUSIVE, drill="b"),
        "c": verdict(Answer.FAIL, drill="c"),
    }
    folder = run_folder(tmp_path / "run", drills=dict.fromkeys(made, history(seconds=3)), verdicts=made)
    said = leave(folder)
    assert [path.parent.name for path in folder.glob("*/incident.md")] == ["c"]
    assert said == [f"report: {folder / 'report.html'}", f"incident: {folder / 'c/incident.md'}"]


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    """No element in the rendered file that was not meant."""
    folder = run_folder(
        tmp_path / "run",
        drills={"paper": hostile(history())},
        verdicts={"paper": hostile_verdict()},
        about={"replay": {"paper": f"{EVIL}\n```\n<img>"}},
    )
    page = MarkdownIt("commonmark", {"html": True}).render(incident(folder))
    assert "<script" not in page
    assert "<img" not in page
