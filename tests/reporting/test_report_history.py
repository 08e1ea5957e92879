"""Runs over time: what is listed, and what is said to have got worse, of runs that did and of runs that did not."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest
from report_world import history, run_folder, verdict

from servedrill.checkers.finding import Answer
from servedrill.commands import main as cli
from servedrill.judging.verdict import Verdict
from servedrill.runs.baseline import compare_runs
from servedrill.runs.compare import compare
from servedrill.runs.index import Index, Wanted, open_index
from servedrill.runs.layout import INDEX
from servedrill.runs.measured import Measured, measure
from servedrill.runs.stored import read_run


def night(
    runs: Path, day: int, answer: Answer = Answer.PASS, *, slower: float = 1.0, seed: int | None = None, **about: object
) -> Path:
    """The run of one night."""
    seed = day if seed is None else seed
    began = f"2026-03-{day:02}T01:00:00+00:00"
    return run_folder(
        runs / f"202603{day:02}T010000-{seed}", drills={"paper": history(seconds=9, seed=seed, slower=slower)},
        verdicts={"paper": verdict(answer, detect_s=1.0 + 0.1 * (seed % 3))},
        about={"began": began, "ended": began.replace("01:00", "01:02"), "seed": seed, **about},
    )  # fmt: skip


def names(index: Index, **wanted: object) -> list[str]:
    return [row.name for row in index.find(msgspec.convert(wanted, Wanted))]


# ---- the list


def test_runs_are_listed_by_what_is_known_of_them(tmp_path: Path) -> None:
    """The latest first; by drill and its verdict, stack, seed, date; never more than asked for."""
    first, second, third = (
        night(tmp_path, 1),
        night(tmp_path, 2, Answer.FAIL),
        night(tmp_path, 3, options={"defects": ["a:B"], "control": True}),
    )
    with open_index(tmp_path) as index:
        assert names(index) == [third.name, second.name, first.name]
        assert names(index, answer="fail") == [second.name]
        assert names(index, drill="paper", answer="fail") == [second.name]
        assert names(index, drill="none") == []
        assert names(index, stack="paper stack", seed=1) == [first.name]
        assert names(index, stack="none") == []
        assert names(index, since="2026-03-02", until="2026-03-03") == [second.name]
        assert names(index, limit=1) == [third.name]
        (row, *_) = index.find(Wanted())
    assert (row.seconds, row.seed, row.control, row.defects, row.answer) == (120.0, 3, True, ["a:B"], Answer.PASS)
    assert [(drill.drill, drill.answer, drill.stack) for drill in row.drills] == [("paper", Answer.PASS, "paper stack")]


def test_the_index_follows_its_folders(tmp_path: Path) -> None:
    """Only what is new or changed is read; what is gone is forgotten; the link to the latest is no run of its own."""
    first, second = night(tmp_path, 1), night(tmp_path, 2)
    (tmp_path / "latest").symlink_to(second.name)
    with open_index(tmp_path) as index:
        assert names(index) == [second.name, first.name]
        assert index.refresh() == 0
        third = night(tmp_path, 3)
        assert index.refresh() == 1
        failed = verdict(Answer.FAIL)
        (first / "paper/verdict.json").write_bytes(msgspec.json.encode(failed))
        (first / "verdicts.json").write_bytes(msgspec.json.encode([failed, failed]))
        assert index.refresh() == 1
        assert names(index, answer="fail") == [first.name]
        shutil.rmtree(second)
        index.refresh()
        assert names(index) == [third.name, first.name]


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"", None])
def test_a_damaged_index_is_made_anew(tmp_path: Path, content: bytes | None) -> None:
    """The folders are the truth."""
    run = night(tmp_path, 1)
    if content is None:  # of another version
        db = sqlite3.connect(tmp_path / INDEX)
        db.execute("CREATE TABLE runs (x)")
        db.commit()
        db.close()
    else:
        (tmp_path / INDEX).write_bytes(content)
    for _ in range(2):
        with open_index(tmp_path) as index:
            assert names(index) == [run.name]
    with open_index(tmp_path, rebuild=True) as index:
        assert names(index) == [run.name]


def test_an_index_that_cannot_be_written_is_kept_in_memory(tmp_path: Path) -> None:
    """The list is the same."""
    run = night(tmp_path, 1)
    (tmp_path / INDEX).mkdir()
    with open_index(tmp_path) as index:
        assert names(index) == [run.name]


def test_a_run_that_cannot_be_read_is_listed_with_the_reason(tmp_path: Path) -> None:
    """And one that goes on is not judged for the list."""
    broken, going = night(tmp_path, 1), night(tmp_path, 2)
    (broken / "run.json").write_text("{")
    (going / "paper/verdict.json").unlink()
    with open_index(tmp_path) as index:
        rows = {row.name: row for row in index.find(Wanted())}
    assert "cannot be read" in rows[broken.name].trouble
    assert rows[going.name].answer is Answer.INCONCLUSIVE


DAMAGES = {
    "a byte that is no UTF-8": ("run.json", b'{"began": "2026\xff"}'),
    "cut": ("run.json", b'{"began": "2026'),
    "empty": ("run.json", b""),
    "of another shape": ("run.json", b"[]"),
    "nested beyond all bounds": ("run.json", b'{"x":' + b"[" * 100_000),
    "a number that is too large": ("run.json", b'{"seed": 9223372036854775808}'),
    "a pipe": ("run.json", None),
    "a verdict that is no UTF-8": ("paper/verdict.json", b'{"drill": "\xff"}'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_hides_no_other(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is in its time, with the file and what to do; the others are listed, compared and drawn."""
    first, broken, last = night(tmp_path, 1), night(tmp_path, 2), night(tmp_path, 3)
    file, content = DAMAGES[damage]
    (broken / file).unlink()
    if content is None:
        os.mkfifo(broken / file)
    else:
        (broken / file).write_bytes(content)
    runs = ["runs", "--runs", str(tmp_path)]
    assert cli.main([*runs, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [last.name, broken.name, first.name]
    trouble = rows[1]["trouble"]
    assert (str(broken) in trouble, Path(file).name in trouble, "hint" in trouble) == (True, True, True)
    assert (rows[0]["trouble"], rows[2]["trouble"]) == ("", "")
    assert cli.main(runs) == 0
    assert cli.main([*runs, "--seed", "0"]) == 0
    assert "no such run" in capsys.readouterr().out
    assert cli.main(["compare", str(first), str(last)]) == 0
    assert cli.main(["report", str(last)]) == 0
    assert cli.main(["report", str(last), "--markdown"]) == 0


def damaged(folder: Path, damage: str) -> tuple[Path, Path]:
    """A run and the file of it that is damaged."""
    broken = night(folder, 2)
    file, content = DAMAGES[damage]
    (broken / file).unlink()
    if content is None:
        os.mkfifo(broken / file)
    else:
        (broken / file).write_bytes(content)
    return broken, broken / file


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "a number that is too large"])
def test_a_damaged_run_is_not_compared(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with the file, and the exit code of usage."""
    broken, file = damaged(tmp_path, damage)
    assert cli.main(["compare", str(broken), str(broken)]) == 4
    said = capsys.readouterr().err
    assert (said.count("\n"), str(file) in said) == (1, True)


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "a number that is too large"])
def test_of_a_damaged_run_is_drawn_what_is_there(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the file; a verdict is made again from its history, what a run was asked for is lost."""
    broken, file = damaged(tmp_path, damage)
    assert cli.main(["report", str(broken)]) == (0 if file.name == "verdict.json" else 6)
    printed = capsys.readouterr()
    assert (printed.err.count("\n"), str(file) in printed.err) == (1, True)
    assert "the report" in printed.err
    assert (broken / "report.html").is_file()


def test_a_damaged_verdict_and_history_leave_a_doubt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The drill is there, INCONCLUSIVE, with the reason."""
    broken, _ = damaged(tmp_path, "a verdict that is no UTF-8")
    (broken / "paper" / "history.jsonl").write_bytes(b"garbage\n")
    assert cli.main(["report", str(broken), "--markdown"]) == 6
    assert "nothing to judge" in capsys.readouterr().out


def test_the_command_lists_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a table and as JSON; an empty list says so; wrong arguments cost one line."""
    night(tmp_path, 1)
    failed = night(tmp_path, 2, Answer.FAIL)
    assert cli.main(["runs", "--runs", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "2026-03-02 01:00" in out
    assert "FAIL" in out
    assert "paper stack" in out
    assert cli.main(["runs", "--runs", str(tmp_path), "--verdict", "fail", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == [failed.name]
    assert cli.main(["runs", "--runs", str(tmp_path), "--seed", "99"]) == 0
    assert "no such run" in capsys.readouterr().out
    assert cli.main(["runs", "--runs", str(tmp_path / "none")]) == 4
    for wrong in (
        ["--since", "yesterday"], ["--limit", "0"], ["--limit", "\u00b2"], ["--limit", "9" * 20],
        ["--verdict", "green"], ["--seed", str(1 << 63)], ["--seed", "-1"],
    ):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            cli.main(["runs", *wrong])
        assert ended.value.code == 4


# ---- comparing


def measured(tmp_path: Path, seed: int, **more: float) -> Measured:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    return measure(read_run(night(folder, 1, seed=seed, **more)).drills[0])  # type: ignore[arg-type]


def changes(before: Measured, after: Measured, *siblings: Measured) -> dict[str, str]:
    made = compare("paper", (Answer.PASS, before), (Answer.PASS, after), siblings)
    return {one.figure.name: one.change for one in made.differences}


def test_a_run_against_itself_shows_no_difference(tmp_path: Path) -> None:
    """In any figure; intervals hold 0."""
    one = measured(tmp_path, 1)
    made = compare("paper", (Answer.PASS, one), (Answer.PASS, one))
    for difference in made.differences:
        if difference.before is None:
            assert difference.change == "not comparable"
        else:
            assert difference.change == "no difference shown"
            assert difference.low is not None
            assert difference.high is not None
            assert difference.low <= 0 <= difference.high


def test_chance_is_no_change(tmp_path: Path) -> None:
    """Of twelve pairs of runs that differ by chance alone, at most one in 50 figures is called a change."""
    runs = [measured(tmp_path, seed) for seed in range(8)]
    called = [change for a, b in zip(runs, runs[1:] + runs[:1], strict=True) for change in changes(a, b).values()]
    assert len([change for change in called if change in ("worse", "better")]) <= len(called) / 50


def test_what_got_slower_is_worse_and_what_got_faster_is_better(tmp_path: Path) -> None:
    """By a fifth, in runs of other seeds; users of fast answers are better off too."""
    for seed in range(3):
        normal, slow = measured(tmp_path, seed), measured(tmp_path, seed + 50, slower=1.2)
        assert changes(normal, slow)["TTFT p50"] == "worse"
        assert changes(slow, normal)["TTFT p50"] == "better"
    fast = measured(tmp_path, 9, slower=0.7)
    assert changes(measured(tmp_path, 1), fast)["goodput"] == "better"
    assert changes(fast, measured(tmp_path, 1))["goodput"] == "worse"


def test_one_time_of_one_run_shows_nothing(tmp_path: Path) -> None:
    """How long detection takes differs from run to run: only other runs tell how much."""

    def with_detect(seed: int, detect_s: float) -> Measured:
        return msgspec.structs.replace(measured(tmp_path, seed), detect_s=detect_s)

    usual = [with_detect(seed, 1.0 + 0.05 * seed) for seed in range(6)]
    late = with_detect(7, 3.0)
    assert changes(usual[0], late)["detect"] == "no difference shown"
    assert changes(usual[0], late, *usual[1:3])["detect"] == "no difference shown"
    assert changes(usual[0], late, *usual[1:])["detect"] == "worse"
    assert changes(late, usual[0], *usual[1:])["detect"] == "better"
    assert changes(usual[0], with_detect(8, 1.1), *usual[1:])["detect"] == "no difference shown"
    scattered = [with_detect(seed, 1.0 + seed) for seed in range(6)]
    assert changes(usual[0], late, *scattered)["detect"] == "no difference shown"


def test_what_is_not_there_is_not_compared(tmp_path: Path) -> None:
    """A time that only one of them has, figures of a run without requests."""
    one = measured(tmp_path, 1)
    empty = Measured(blocks=[], detect_s=None, failover_s=None, recover_s=None, mttr_s=None, on_time=False)
    made = compare("paper", (Answer.PASS, one), (Answer.PASS, empty))
    assert {difference.change for difference in made.differences} == {"not comparable"}
    assert next(one.why for one in made.differences if one.figure.name == "detect") == "was timed, is not any more"
    assert not made.on_time


def test_runs_like_the_baseline_tell_the_noise_between_runs(tmp_path: Path) -> None:
    """Earlier ones of the same drill, stack and options; measured once, then remembered."""
    nights = [night(tmp_path, day) for day in range(1, 6)]
    night(tmp_path, 6, options={"defects": ["a:B"]})
    late = night(tmp_path, 7)
    before, after = read_run(nights[-1]), read_run(late)
    (made,) = compare_runs(before, after)
    assert made.siblings == 4
    shutil.rmtree(nights[0] / "paper/logs")
    (nights[0] / "paper/history.jsonl").write_text("")  # remembered, so it is not read again
    (again,) = compare_runs(before, after)
    assert again == made


def test_the_command_compares_and_its_status_says_whether_it_got_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 for nothing shown, 1 for a figure or a verdict that got worse, 4 for what cannot be compared."""
    good, same, slow = night(tmp_path, 1), night(tmp_path, 2), night(tmp_path, 3, slower=1.5)
    failed = night(tmp_path, 4, Answer.FAIL)
    other = run_folder(tmp_path / "other", drills={"else": history(seconds=3)})
    assert cli.main(["compare", str(good), str(same)]) == 0
    assert "Nothing is shown to have got worse." in capsys.readouterr().out
    assert cli.main(["compare", str(good), str(slow)]) == 1
    assert "paper: TTFT p50 got worse, " in capsys.readouterr().out
    assert cli.main(["compare", str(good), str(failed)]) == 1
    assert "paper: pass became fail." in capsys.readouterr().out
    assert cli.main(["compare", str(failed), str(good), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["after"] == "pass"
    assert cli.main(["compare", str(good), str(other)]) == 4
    assert "no drill in common" in capsys.readouterr().err
    assert cli.main(["compare", str(good), str(tmp_path)]) == 4


def test_verdicts_of_a_stored_run_are_what_was_written(tmp_path: Path) -> None:
    """Nothing is lost on the way through the file."""
    assert read_run(night(tmp_path, 1, Answer.FAIL)).drills[0].verdict == msgspec.convert(
        msgspec.to_builtins(verdict(Answer.FAIL, detect_s=1.1)), Verdict
    )
